//! Values that are read where they lie.

use super::array::{check_element, describe};
use super::element::{Element, elements_of};
use super::ndarray::Description;
use super::plain::text;
use super::typed::Object;
use crate::frame::Codec;
use crate::{Blob, Error, ErrorKind, Result};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

/// A type that can be read in a frame as it lies there: `[u8]`, `str`, or a slice of an array's
/// elements such as `[f64]`.
pub trait Viewed: private::Viewed {}

impl<T: private::Viewed + ?Sized> Viewed for T {}

mod private {
    use super::{Description, Object, Result};

    pub trait Viewed {
        /// The value in the object's memory, and what it is as an array.
        fn find(object: &Object) -> Result<(&Self, Option<Description>)>;
    }
}

/// A value where it lies in its object's memory: nothing was copied. The memory stays for as long
/// as the view lives, whatever happens to the object in its store.
///
/// ```
/// use proxystore::Store;
/// use proxystore::codec::AnyArray;
///
/// let store = Store::in_memory("views");
/// let key = store.put(&AnyArray::from_slice(&[3], &[1.0, 2.0, 3.0])?)?;
/// let numbers = store.get_view::<[f64]>(&key)?.expect("just put");
/// store.evict(&key)?;
/// assert_eq!(numbers.iter().sum::<f64>(), 6.0);
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct View<T: Viewed + ?Sized> {
    value: NonNull<T>,
    array: Option<Description>,
    memory: Blob,
    of: PhantomData<T>,
}

// SAFETY: a view is a shared reference to memory that a blob keeps, and blobs may be shared
// between threads; a `&T` may be sent where `T: Sync`.
unsafe impl<T: Viewed + Sync + ?Sized> Send for View<T> {}
// SAFETY: as above.
unsafe impl<T: Viewed + Sync + ?Sized> Sync for View<T> {}

impl<T: Viewed + ?Sized> View<T> {
    /// A view of an object.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the object is something else, or an array whose elements have
    /// the bytes of another machine's order.
    pub fn of(object: &Object) -> Result<Self> {
        let (value, array) = T::find(object)?;
        Ok(Self {
            value: NonNull::from(value),
            array,
            memory: object.blob().clone(),
            of: PhantomData,
        })
    }

    /// Shape and order, if the object is an array. The view itself is of all elements, in the
    /// order in which they lie.
    #[must_use]
    pub fn array(&self) -> Option<&Description> {
        self.array.as_ref()
    }

    /// The memory of the object's whole frame.
    #[must_use]
    pub fn memory(&self) -> &Blob {
        &self.memory
    }
}

impl<T: Viewed + ?Sized> Deref for View<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: it points into `self.memory`, which stays in place and unchanged while `self`
        // holds it.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Viewed + fmt::Debug + ?Sized> fmt::Debug for View<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("View").field(&&**self).finish()
    }
}

#[cfg(feature = "ndarray")]
impl<A: Element> View<[A]> {
    /// The array with its shape and order, as a view.
    ///
    /// # Panics
    /// If the object is bytes and no array.
    #[must_use]
    pub fn as_array(&self) -> ::ndarray::ArrayViewD<'_, A> {
        use ::ndarray::ShapeBuilder;
        let description = self.array().expect("a view of an array, not of bytes");
        let shape: Vec<usize> = description.shape.iter().map(|len| *len as usize).collect();
        let shape = ::ndarray::IxDyn(&shape).set_f(description.fortran_order);
        ::ndarray::ArrayViewD::from_shape(shape, self).expect("the description was checked")
    }
}

impl private::Viewed for str {
    fn find(object: &Object) -> Result<(&Self, Option<Description>)> {
        object.expect(Codec::Str, "str")?;
        Ok((text(object.buffer(0)?)?, None))
    }
}

/// The elements of an array; of `u8`, bytes as well.
impl<T: Element> private::Viewed for [T] {
    fn find(object: &Object) -> Result<(&Self, Option<Description>)> {
        let name = std::any::type_name::<Self>();
        let bytes = object.codec() == Codec::Bytes
            && T::KIND == super::ndarray::Kind::Uint
            && size_of::<T>() == 1;
        let array = if bytes {
            None
        } else {
            let description = describe(object, name)?;
            check_element::<T>(&description)?;
            if size_of::<T>() > 1 && description.big_endian != cfg!(target_endian = "big") {
                return Err(Error::new(
                    ErrorKind::WrongType,
                    "the array's elements have the bytes of another machine's order: get an \
                     `AnyArray`, whose `elements` turns them round",
                ));
            }
            Some(description)
        };
        let elements = elements_of(object.buffer(0)?).ok_or_else(|| {
            Error::new(
                ErrorKind::WrongType,
                format!("the memory of the object cannot be viewed as `{name}`: get a copy"),
            )
        })?;
        Ok((elements, array))
    }
}
