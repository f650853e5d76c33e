//! Rust types that are elements of arrays.

use super::ndarray::Kind;

/// A type that an array's memory holds as it is: one kind and size of element, of which every
/// pattern of bits (with [`is_sound`](Element::is_sound), every one that occurs) is a value.
///
/// # Safety
/// The type has no padding, and any bytes for which `is_sound` answers yes are a value of it.
pub unsafe trait Element: Copy + Send + Sync + 'static {
    /// What the elements are.
    const KIND: Kind;

    /// Whether these bytes are values.
    #[must_use]
    fn is_sound(_bytes: &[u8]) -> bool {
        true
    }

    /// The value with its bytes in the other order.
    #[must_use]
    fn swap_bytes(self) -> Self;
}

macro_rules! integers {
    ($kind:ident: $($type:ty)*) => {$(
        // SAFETY: integers have no padding, and all bit patterns are values.
        unsafe impl Element for $type {
            const KIND: Kind = Kind::$kind;
            fn swap_bytes(self) -> Self {
                <$type>::swap_bytes(self)
            }
        }
    )*};
}
integers!(Int: i8 i16 i32 i64);
integers!(Uint: u8 u16 u32 u64);

macro_rules! floats {
    ($($type:ty)*) => {$(
        // SAFETY: floats have no padding, and all bit patterns are values.
        unsafe impl Element for $type {
            const KIND: Kind = Kind::Float;
            fn swap_bytes(self) -> Self {
                <$type>::from_bits(self.to_bits().swap_bytes())
            }
        }
        // SAFETY: two floats one after the other, without padding: real and imaginary part.
        unsafe impl Element for [$type; 2] {
            const KIND: Kind = Kind::Complex;
            fn swap_bytes(self) -> Self {
                self.map(Element::swap_bytes)
            }
        }
        #[cfg(feature = "ndarray")]
        // SAFETY: `repr(C)`, of two floats.
        unsafe impl Element for num_complex::Complex<$type> {
            const KIND: Kind = Kind::Complex;
            fn swap_bytes(self) -> Self {
                Self::new(Element::swap_bytes(self.re), Element::swap_bytes(self.im))
            }
        }
    )*};
}
floats!(f32 f64);

// SAFETY: one byte, of which `is_sound` lets only 0 and 1 pass.
unsafe impl Element for bool {
    const KIND: Kind = Kind::Bool;
    fn is_sound(bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| *byte <= 1)
    }
    fn swap_bytes(self) -> Self {
        self
    }
}

/// The bytes of a slice of elements.
#[must_use]
pub fn bytes_of<T: Element>(elements: &[T]) -> &[u8] {
    // SAFETY: elements have no padding, so all their bytes may be read.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), std::mem::size_of_val(elements)) }
}

/// The elements that lie in some bytes, if they are aligned, whole and sound.
#[must_use]
pub fn elements_of<T: Element>(bytes: &[u8]) -> Option<&[T]> {
    let fits =
        bytes.as_ptr().cast::<T>().is_aligned() && bytes.len().is_multiple_of(size_of::<T>());
    if !fits || !T::is_sound(bytes) {
        return None;
    }
    // SAFETY: the memory is aligned for `T`, holds so many of them, and they are sound values.
    Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_aligned_whole_and_sound() {
        let words = [1_u64, 2, 3];
        let bytes = bytes_of(&words);
        assert_eq!(elements_of::<u64>(bytes), Some(&words[..]));
        assert_eq!(elements_of::<u64>(&bytes[..12]), None);
        assert_eq!(elements_of::<u64>(&bytes[1..9]), None);
        assert_eq!(elements_of::<bool>(&[0, 1]), Some(&[false, true][..]));
        assert_eq!(elements_of::<bool>(&[0, 2]), None);
    }
}
