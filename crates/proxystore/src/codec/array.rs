//! N-dimensional arrays of any plain kind of element, as they lie in their frame.

use super::element::{Element, bytes_of, elements_of};
use super::ndarray::{Description, Kind};
use super::typed::{Decode, Encode, Encoded, Object};
use crate::frame::Codec;
use crate::{Access, Blob, Error, ErrorKind, Result};
use std::borrow::Cow;

/// An array of whatever elements, shape and order: its description, and its memory. What Python's
/// `numpy.ndarray` of a plain dtype is in Rust, also where Rust has no type for the element (half
/// floats, points in time, fixed-size text).
///
/// ```
/// use proxystore::Store;
/// use proxystore::codec::AnyArray;
///
/// let store = Store::in_memory("arrays");
/// let key = store.put(&AnyArray::from_slice(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?)?;
/// let array: AnyArray = store.get(&key)?.expect("just put");
/// assert_eq!(array.shape(), [2, 3]);
/// assert_eq!(array.elements::<f64>()?[4], 5.0);
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AnyArray {
    description: Description,
    memory: Blob,
}

impl AnyArray {
    /// An array of a description and the bytes of its elements.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`] if there are more or fewer bytes than the description says.
    pub fn new(description: Description, memory: Blob) -> Result<Self> {
        if description.byte_len() != Some(memory.len()) {
            return Err(Error::new(
                ErrorKind::Encode,
                format!(
                    "{} bytes are not the elements of an array of the shape {:?} with {} bytes each",
                    memory.len(),
                    description.shape.as_slice(),
                    description.item_size
                ),
            ));
        }
        Ok(Self {
            description,
            memory,
        })
    }

    /// A copy of elements in C's order (the last index runs fastest).
    ///
    /// # Errors
    /// [`ErrorKind::Encode`] if there are more or fewer elements than the shape says.
    pub fn from_slice<T: Element>(shape: &[u64], elements: &[T]) -> Result<Self> {
        let description = Description::new(T::KIND, size_of::<T>() as u32, shape);
        Self::new(description, Blob::copy_from(bytes_of(elements)))
    }

    /// What the elements are and how they lie.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Elements along each axis.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.description.shape
    }

    /// The bytes of all elements.
    #[must_use]
    pub fn memory(&self) -> &Blob {
        &self.memory
    }

    /// All elements, in the order in which they lie; nothing is copied unless they have their most
    /// significant byte first.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the elements are of another type.
    pub fn elements<T: Element>(&self) -> Result<Cow<'_, [T]>> {
        check_element::<T>(&self.description)?;
        if self.description.big_endian != cfg!(target_endian = "big") {
            let elements = copied::<T>(&self.memory)?;
            return Ok(Cow::Owned(
                elements.into_iter().map(Element::swap_bytes).collect(),
            ));
        }
        match elements_of(&self.memory) {
            Some(elements) => Ok(Cow::Borrowed(elements)),
            None => copied(&self.memory).map(Cow::Owned),
        }
    }
}

/// Elements at whatever address, copied to where they are aligned.
fn copied<T: Element>(bytes: &[u8]) -> Result<Vec<T>> {
    let count = bytes.len() / size_of::<T>();
    if !T::is_sound(bytes) {
        return Err(Error::new(
            ErrorKind::InvalidFrame,
            "a corrupted frame: a truth value that is neither 0 nor 1",
        ));
    }
    let mut elements = Vec::<T>::with_capacity(count);
    // SAFETY: the vector has room for `count` elements, which are all written with sound values.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            elements.as_mut_ptr().cast(),
            count * size_of::<T>(),
        );
        elements.set_len(count);
    }
    Ok(elements)
}

/// Whether an array's elements are of a type.
pub(super) fn check_element<T: Element>(description: &Description) -> Result<()> {
    if description.kind == T::KIND && description.item_size as usize == size_of::<T>() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::WrongType,
        format!(
            "the array has elements of {}, not of {}",
            name(description.kind, description.item_size, &description.unit),
            name(T::KIND, size_of::<T>() as u32, b"")
        ),
    ))
}

/// A name of elements, as array libraries write it.
fn name(kind: Kind, item_size: u32, unit: &[u8]) -> String {
    let bits = u64::from(item_size) * 8;
    match kind {
        Kind::Bool => "bool".to_owned(),
        Kind::Int => format!("int{bits}"),
        Kind::Uint => format!("uint{bits}"),
        Kind::Float => format!("float{bits}"),
        Kind::Complex => format!("complex{bits}"),
        Kind::Datetime => format!("datetime64[{}]", String::from_utf8_lossy(unit)),
        Kind::Timedelta => format!("timedelta64[{}]", String::from_utf8_lossy(unit)),
        Kind::Bytes => format!("{item_size} bytes"),
        Kind::Text => format!("{} characters", item_size / 4),
    }
}

/// The description of an object that is an array, with its elements whole.
pub(super) fn describe(object: &Object, type_name: &str) -> Result<Description> {
    object.expect(Codec::Ndarray, type_name)?;
    let description = Description::parse(object.stream())?;
    if description.byte_len() != Some(object.buffer(0)?.len()) {
        return Err(Error::new(
            ErrorKind::InvalidFrame,
            "a corrupted frame: its array has more or fewer elements than its shape says",
        ));
    }
    Ok(description)
}

impl Encode for AnyArray {
    fn encode(&self) -> Result<Encoded<'_>> {
        Ok(Encoded::new(Codec::Ndarray)
            .short_stream(&self.description.to_bytes())
            .buffer(&*self.memory))
    }
}

impl Decode for AnyArray {
    const ACCESS: Access = Access::Auto;

    fn decode(object: &Object) -> Result<Self> {
        Ok(Self {
            description: describe(object, "AnyArray")?,
            memory: object.buffer_blob(0)?,
        })
    }
}

#[cfg(feature = "ndarray")]
mod crate_ndarray {
    use super::{
        AnyArray, Codec, Cow, Decode, Description, Element, Encode, Encoded, Object, Result,
        bytes_of, check_element,
    };
    use crate::{Access, Error, ErrorKind};
    use ndarray::{Array, ArrayBase, Data, Dimension, IxDyn, ShapeBuilder};

    impl<A: Element, S: Data<Elem = A>, D: Dimension> Encode for ArrayBase<S, D> {
        fn encode(&self) -> Result<Encoded<'_>> {
            let shape: Vec<u64> = self.shape().iter().map(|len| *len as u64).collect();
            let mut description = Description::new(A::KIND, size_of::<A>() as u32, &shape);
            let in_memory_order = self.as_slice_memory_order();
            let elements: Cow<'_, [u8]> = if let Some(elements) = self.as_slice() {
                bytes_of(elements).into()
            } else if let (true, Some(elements)) = (self.t().is_standard_layout(), in_memory_order)
            {
                description.fortran_order = true;
                bytes_of(elements).into()
            } else {
                let copy: Vec<A> = self.iter().copied().collect();
                bytes_of(&copy).to_vec().into()
            };
            Ok(Encoded::new(Codec::Ndarray)
                .short_stream(&description.to_bytes())
                .buffer(elements))
        }
    }

    impl<A: Element, D: Dimension> Decode for Array<A, D> {
        const ACCESS: Access = Access::View;

        fn decode(object: &Object) -> Result<Self> {
            let array = AnyArray::decode(object)?;
            let description = array.description();
            check_element::<A>(description)?;
            let elements = array.elements::<A>()?.into_owned();
            let shape: Vec<usize> = array.shape().iter().map(|len| *len as usize).collect();
            let dimensions = shape.len();
            let shape = IxDyn(&shape).set_f(description.fortran_order);
            Array::from_shape_vec(shape, elements)
                .and_then(Array::into_dimensionality)
                .map_err(|source| {
                    let wanted = D::NDIM.map_or_else(|| "any".to_owned(), |n| n.to_string());
                    Error::new(
                        ErrorKind::WrongType,
                        format!("the array has {dimensions} dimensions, not {wanted}"),
                    )
                    .with_source(source)
                })
        }
    }
}

#[cfg(test)]
#[cfg(feature = "ndarray")]
mod tests {
    use super::{AnyArray, Decode, Encode, ErrorKind, Object};
    use ndarray::{Array1, Array2, ArrayD, ShapeBuilder, s};

    fn object(value: &dyn Encode) -> Object {
        let encoded = value.encode().unwrap();
        Object::parse(encoded.with_payload(|payload| payload.to_vec()).into()).unwrap()
    }

    #[test]
    fn arrays_of_the_ndarray_crate() {
        let array = Array2::from_shape_fn((3, 4), |(row, column)| (10 * row + column) as f64);
        let turned = array.t().to_owned();
        let fortran = Array2::from_shape_vec((3, 2).f(), vec![1, 2, 3, 4, 5, 6_u16]).unwrap();
        let sliced = array.slice(s![.., ..;2]);
        assert_eq!(Array2::<f64>::decode(&object(&array)).unwrap(), array);
        assert_eq!(
            ArrayD::<f64>::decode(&object(&turned)).unwrap(),
            turned.into_dyn()
        );
        assert_eq!(Array2::<f64>::decode(&object(&sliced)).unwrap(), sliced);
        let any = AnyArray::decode(&object(&fortran)).unwrap();
        assert!(any.description().fortran_order);
        assert_eq!(Array2::<u16>::decode(&object(&fortran)).unwrap(), fortran);
        let error = Array1::<f64>::decode(&object(&array)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongType);
        assert!(error.to_string().contains("2 dimensions, not 1"), "{error}");
    }
}
