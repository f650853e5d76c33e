//! numpy's protocols, without numpy: it finds these on the type of an operand.

use super::attributes::forward_get;
use super::names::{ARRAY_INTERFACE, ARRAY_STRUCT, ARRAY_UFUNC, CALL, NAME};
use super::object::equal;
use super::target::{_PyType_Lookup, Held, operand, target};
use pyo3::ffi::*;
use smallvec::SmallVec;
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

/// `p.__array_ufunc__(ufunc, method, *inputs, **keywords)`: the same call on the targets.
pub(super) unsafe extern "C" fn method_array_ufunc(
    _o: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keyword_names: *mut PyObject,
) -> *mut PyObject {
    if count < 2 {
        PyErr_SetString(
            PyExc_TypeError,
            c"__array_ufunc__() takes a ufunc, the name of a method and the inputs".as_ptr(),
        );
        return null_mut();
    }
    let inputs = (count - 2) as usize;
    let keywords = if keyword_names.is_null() {
        0
    } else {
        PyTuple_GET_SIZE(keyword_names) as usize
    };
    let (ufunc, method) = (*args, *args.add(1));
    let mut unwrapped: SmallVec<[Held; 6]> = SmallVec::new();
    for i in 0..inputs + keywords {
        let argument = *args.add(2 + i);
        // Outputs come as a tuple.
        let argument = if i >= inputs && PyTuple_CheckExact(argument) != 0 {
            unwrap_tuple(argument)
        } else {
            operand(argument)
        };
        match argument {
            Some(argument) => unwrapped.push(argument),
            None => return null_mut(),
        }
    }
    let is_call = equal(method, CALL.get());
    if is_call
        && inputs == 2
        && keywords <= 1
        && let Some(result) = as_operator(ufunc, &unwrapped, keyword_names)
    {
        return result;
    }
    // `Held` is a transparent pointer.
    let pointers = unwrapped.as_ptr().cast::<*mut PyObject>();
    if is_call {
        return PyObject_Vectorcall(ufunc, pointers, inputs, keyword_names);
    }
    let Some(function) = Held::owned(PyObject_GetAttr(ufunc, method)) else {
        return null_mut();
    };
    PyObject_Vectorcall(function.get(), pointers, inputs, keyword_names)
}

unsafe fn unwrap_tuple(tuple: *mut PyObject) -> Option<Held> {
    let count = PyTuple_GET_SIZE(tuple);
    let copy = Held::owned(PyTuple_New(count))?;
    for i in 0..count {
        PyTuple_SET_ITEM(
            copy.get(),
            i,
            operand(PyTuple_GET_ITEM(tuple, i))?.into_ptr(),
        );
    }
    Some(copy)
}

type Operator = unsafe extern "C" fn(*mut PyObject, *mut PyObject) -> *mut PyObject;

macro_rules! comparison {
    ($($function:ident $operation:ident;)*) => {$(
        unsafe extern "C" fn $function(left: *mut PyObject, right: *mut PyObject) -> *mut PyObject {
            PyObject_RichCompare(left, right, $operation)
        }
    )*};
}

comparison! {
    equal_to Py_EQ;
    not_equal_to Py_NE;
    less Py_LT;
    less_equal Py_LE;
    greater Py_GT;
    greater_equal Py_GE;
}

unsafe extern "C" fn power(left: *mut PyObject, right: *mut PyObject) -> *mut PyObject {
    PyNumber_Power(left, right, Py_None())
}

unsafe extern "C" fn in_place_power(left: *mut PyObject, right: *mut PyObject) -> *mut PyObject {
    PyNumber_InPlacePower(left, right, Py_None())
}

/// The operators that arrays perform by a ufunc: its name, the operator, the in-place operator.
static OPERATORS: [(&CStr, Operator, Option<Operator>); 21] = [
    (c"add", PyNumber_Add, Some(PyNumber_InPlaceAdd)),
    (
        c"subtract",
        PyNumber_Subtract,
        Some(PyNumber_InPlaceSubtract),
    ),
    (
        c"multiply",
        PyNumber_Multiply,
        Some(PyNumber_InPlaceMultiply),
    ),
    (
        c"matmul",
        PyNumber_MatrixMultiply,
        Some(PyNumber_InPlaceMatrixMultiply),
    ),
    (
        c"divide",
        PyNumber_TrueDivide,
        Some(PyNumber_InPlaceTrueDivide),
    ),
    (
        c"true_divide",
        PyNumber_TrueDivide,
        Some(PyNumber_InPlaceTrueDivide),
    ),
    (
        c"floor_divide",
        PyNumber_FloorDivide,
        Some(PyNumber_InPlaceFloorDivide),
    ),
    (
        c"remainder",
        PyNumber_Remainder,
        Some(PyNumber_InPlaceRemainder),
    ),
    (c"divmod", PyNumber_Divmod, None),
    (c"power", power, Some(in_place_power)),
    (c"left_shift", PyNumber_Lshift, Some(PyNumber_InPlaceLshift)),
    (
        c"right_shift",
        PyNumber_Rshift,
        Some(PyNumber_InPlaceRshift),
    ),
    (c"bitwise_and", PyNumber_And, Some(PyNumber_InPlaceAnd)),
    (c"bitwise_or", PyNumber_Or, Some(PyNumber_InPlaceOr)),
    (c"bitwise_xor", PyNumber_Xor, Some(PyNumber_InPlaceXor)),
    (c"equal", equal_to, None),
    (c"not_equal", not_equal_to, None),
    (c"less", less, None),
    (c"less_equal", less_equal, None),
    (c"greater", greater, None),
    (c"greater_equal", greater_equal, None),
];

/// `array + p` comes here as `np.add(array, p)`, because to the array the proxy is an operand with
/// a ufunc hook. Where the target is one to which the array would have yielded (it has no hook of
/// its own, or has set it to None, and brings its own reflected operator), the operator is done
/// again on the target. None: the ufunc is the thing to call.
unsafe fn as_operator(
    ufunc: *mut PyObject,
    operands: &[Held],
    keyword_names: *mut PyObject,
) -> Option<*mut PyObject> {
    let (left, right) = (&operands[0], &operands[1]);
    if left.kind() == right.kind() || PyType_HasFeature(right.kind(), Py_TPFLAGS_HEAPTYPE) == 0 {
        return None;
    }
    let hook = _PyType_Lookup(right.kind(), ARRAY_UFUNC.get());
    if !hook.is_null() && hook != Py_None() {
        return None;
    }
    // An operator of arrays and numpy's scalars only; anything else was a call of the ufunc.
    if _PyType_Lookup(left.kind(), ARRAY_INTERFACE.get()).is_null()
        || _PyType_Lookup(left.kind(), ARRAY_UFUNC.get()).is_null()
    {
        return None;
    }
    let Some(name) = Held::owned(PyObject_GetAttr(ufunc, NAME.get())) else {
        return Some(null_mut());
    };
    let (_, operator, in_place) = OPERATORS.iter().find(|(operator, _, _)| {
        PyUnicode_CompareWithASCIIString(name.get(), operator.as_ptr()) == 0
    })?;
    if keyword_names.is_null() || PyTuple_GET_SIZE(keyword_names) == 0 {
        return Some(operator(left.get(), right.get()));
    }
    // `array += p` has the array as the output.
    let is_output =
        PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keyword_names, 0), c"out".as_ptr()) == 0
            && PyTuple_CheckExact(operands[2].get()) != 0
            && PyTuple_GET_SIZE(operands[2].get()) == 1
            && PyTuple_GET_ITEM(operands[2].get(), 0) == left.get();
    match in_place {
        Some(in_place) if is_output => Some(in_place(left.get(), right.get())),
        _ => None,
    }
}

/// `__array_struct__`: hidden where the target also has `__array_interface__`, because the C
/// structure loses the unit of a datetime64 and the names of fields, silently.
pub(super) unsafe extern "C" fn get_array_struct(
    o: *mut PyObject,
    _: *mut c_void,
) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    if _PyType_Lookup(target.kind(), ARRAY_INTERFACE.get()).is_null() {
        return forward_get(o, ARRAY_STRUCT.get());
    }
    PyErr_SetObject(PyExc_AttributeError, ARRAY_STRUCT.get());
    null_mut()
}
