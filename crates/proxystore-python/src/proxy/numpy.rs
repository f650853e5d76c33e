//! numpy's protocols, and torch's that is made after them, without either package: they find
//! these on the type of an operand.

use super::attributes::forward_get;
use super::names::{
    ARRAY, ARRAY_INTERFACE, ARRAY_STRUCT, ARRAY_UFUNC, CALL, COPY_KEYWORD, Global, NAME,
};
use super::object::equal;
use super::target::{_PyType_Lookup, Held, is_proxy, operand, target};
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
        && keywords <= 2
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
/// a ufunc hook. Where the target is one to which the array would have yielded (a subclass, or one
/// without a hook of its own), the operator is done again on the target. None: the ufunc is the
/// thing to call.
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
    let has_hook = !hook.is_null() && hook != Py_None();
    if has_hook && PyType_IsSubtype(right.kind(), left.kind()) == 0 {
        return None;
    }
    // An operator of arrays and numpy's scalars only; anything else was a call of the ufunc.
    if _PyType_Lookup(left.kind(), ARRAY_INTERFACE.get()).is_null() {
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
    match in_place {
        Some(in_place) if is_in_place(left, operands, keyword_names) => {
            Some(in_place(left.get(), right.get()))
        }
        _ => None,
    }
}

/// Whether a ufunc was called for `array op= p`: the array is the output as well, and nothing else
/// is said (but by `array @= p`, which names the axes).
unsafe fn is_in_place(left: &Held, operands: &[Held], keyword_names: *mut PyObject) -> bool {
    let mut is_output = false;
    for (i, value) in operands[2..].iter().enumerate() {
        let name = PyTuple_GET_ITEM(keyword_names, i as Py_ssize_t);
        if PyUnicode_CompareWithASCIIString(name, c"out".as_ptr()) == 0 {
            is_output = PyTuple_CheckExact(value.get()) != 0
                && PyTuple_GET_SIZE(value.get()) == 1
                && PyTuple_GET_ITEM(value.get(), 0) == left.get();
        } else if PyUnicode_CompareWithASCIIString(name, c"axes".as_ptr()) != 0 {
            return false;
        }
    }
    is_output
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

/// `__array_interface__`: the target's, hidden for records, whose padding and class it loses.
/// numpy then turns to `__array__`, which gives the array itself.
pub(super) unsafe extern "C" fn get_array_interface(
    o: *mut PyObject,
    _: *mut c_void,
) -> *mut PyObject {
    let Some(interface) = Held::owned(forward_get(o, ARRAY_INTERFACE.get())) else {
        return null_mut();
    };
    let is_record = PyDict_Check(interface.get()) != 0 && {
        let code = PyDict_GetItemString(interface.get(), c"typestr".as_ptr()); // borrowed
        !code.is_null()
            && PyUnicode_Check(code) != 0
            && PyUnicode_GET_LENGTH(code) > 1
            && PyUnicode_ReadChar(code, 1) == u32::from(b'V')
    };
    if is_record {
        PyErr_SetObject(PyExc_AttributeError, ARRAY_INTERFACE.get());
        return null_mut();
    }
    interface.into_ptr()
}

/// How deep proxies are looked for in the lists, tuples and dicts among the arguments of a
/// function: `np.block([[p, q], [r, s]])`.
const DEEPEST_ARGUMENT: u32 = 3;

/// The argument with its proxies replaced by their targets; the same object where there is none.
unsafe fn unwrap_nested(argument: *mut PyObject, depth: u32) -> Option<Held> {
    if is_proxy(argument) {
        return target(argument);
    }
    let same = Held::borrowed(argument);
    if depth == DEEPEST_ARGUMENT {
        return Some(same);
    }
    if PyDict_CheckExact(argument) != 0 {
        return unwrap_dict(same, depth);
    }
    let is_list = PyList_CheckExact(argument) != 0;
    if !is_list && PyTuple_CheckExact(argument) == 0 {
        return Some(same);
    }
    let mut items: SmallVec<[Held; 6]> = SmallVec::new();
    let mut changed = false;
    let mut i = 0;
    // The size is asked each time: resolving a proxy may change the list.
    while i < Py_SIZE(argument) {
        let item = if is_list {
            PyList_GET_ITEM(argument, i)
        } else {
            PyTuple_GET_ITEM(argument, i)
        };
        let unwrapped = unwrap_nested(item, depth + 1)?;
        changed |= unwrapped.get() != item;
        items.push(unwrapped);
        i += 1;
    }
    if !changed {
        return Some(same);
    }
    let count = items.len() as Py_ssize_t;
    let copy = Held::owned(if is_list {
        PyList_New(count)
    } else {
        PyTuple_New(count)
    })?;
    for (i, item) in items.into_iter().enumerate() {
        if is_list {
            PyList_SET_ITEM(copy.get(), i as Py_ssize_t, item.into_ptr());
        } else {
            PyTuple_SET_ITEM(copy.get(), i as Py_ssize_t, item.into_ptr());
        }
    }
    Some(copy)
}

unsafe fn unwrap_dict(dict: Held, depth: u32) -> Option<Held> {
    let items = Held::owned(PyDict_Items(dict.get()))?;
    let copy = Held::owned(PyDict_New())?;
    for i in 0..PyList_GET_SIZE(items.get()) {
        let item = PyList_GET_ITEM(items.get(), i);
        let value = unwrap_nested(PyTuple_GET_ITEM(item, 1), depth + 1)?;
        if PyDict_SetItem(copy.get(), PyTuple_GET_ITEM(item, 0), value.get()) < 0 {
            return None;
        }
    }
    Some(copy)
}

/// Calls `function(*args, **keywords)` on the targets.
unsafe fn call_unwrapped(
    function: *mut PyObject,
    args: *mut PyObject,
    keywords: *mut PyObject,
) -> *mut PyObject {
    let keywords = if keywords == Py_None() {
        null_mut()
    } else {
        keywords
    };
    if PyTuple_Check(args) == 0 || (!keywords.is_null() && PyDict_Check(keywords) == 0) {
        PyErr_SetString(
            PyExc_TypeError,
            c"expected (function, types, args, kwargs) with a tuple and a dict".as_ptr(),
        );
        return null_mut();
    }
    let Some(args) = unwrap_nested(args, 0) else {
        return null_mut();
    };
    if keywords.is_null() || PyDict_Size(keywords) == 0 {
        return PyObject_Call(function, args.get(), null_mut());
    }
    let Some(keywords) = unwrap_nested(keywords, 0) else {
        return null_mut();
    };
    PyObject_Call(function, args.get(), keywords.get())
}

/// `(function, types, args[, kwargs])`, by position or by name.
unsafe fn call_override(
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keyword_names: *mut PyObject,
) -> *mut PyObject {
    let mut given = [null_mut::<PyObject>(); 4];
    for (i, slot) in given.iter_mut().enumerate().take(count.min(4) as usize) {
        *slot = *args.add(i);
    }
    let keywords = if keyword_names.is_null() {
        0
    } else {
        PyTuple_GET_SIZE(keyword_names)
    };
    for i in 0..keywords {
        let name = PyTuple_GET_ITEM(keyword_names, i);
        let position = [c"func", c"types", c"args", c"kwargs"]
            .iter()
            .position(|known| PyUnicode_CompareWithASCIIString(name, known.as_ptr()) == 0);
        if let Some(position) = position {
            given[position] = *args.offset(count + i);
        }
    }
    let [function, _types, args, keywords] = given;
    if function.is_null() || count > 4 {
        PyErr_SetString(
            PyExc_TypeError,
            c"expected (function, types, args, kwargs)".as_ptr(),
        );
        return null_mut();
    }
    if args.is_null() {
        return PyObject_CallNoArgs(function);
    }
    call_unwrapped(function, args, keywords)
}

/// `p.__array_function__(function, types, args, kwargs)`: numpy's functions get the targets
/// themselves, so that subclasses of arrays, masks and outputs come through.
pub(super) unsafe extern "C" fn method_array_function(
    _o: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keyword_names: *mut PyObject,
) -> *mut PyObject {
    call_override(args, count, keyword_names)
}

/// The same for torch, whose functions check for the type of a tensor and turn to this where they
/// find another. A class method, as torch demands.
pub(super) unsafe extern "C" fn method_torch_function(
    _kind: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keyword_names: *mut PyObject,
) -> *mut PyObject {
    call_override(args, count, keyword_names)
}

static AS_ARRAY: Global = Global::new();

/// `numpy.asarray(target, ...)`, bound to the target.
unsafe extern "C" fn array_of_target(
    target: *mut PyObject,
    args: *mut PyObject,
    keywords: *mut PyObject,
) -> *mut PyObject {
    let function = AS_ARRAY.load_from(c"numpy", c"asarray");
    if function.is_null() {
        return null_mut();
    }
    let Some(first) = Held::owned(PyTuple_Pack(1, target)) else {
        return null_mut();
    };
    let Some(args) = Held::owned(PySequence_Concat(first.get(), args)) else {
        return null_mut();
    };
    // numpy 1 has no `copy`; the array is a new one in any case.
    if !keywords.is_null()
        && PyDict_Contains(keywords, COPY_KEYWORD.get()) == 1
        && PyDict_DelItem(keywords, COPY_KEYWORD.get()) < 0
    {
        return null_mut();
    }
    PyObject_Call(function, args.get(), keywords)
}

struct Definition(PyMethodDef);
// SAFETY: never changed.
unsafe impl Sync for Definition {}

static ARRAY_OF_TARGET: Definition = Definition(PyMethodDef {
    ml_name: c"__array__".as_ptr(),
    ml_meth: PyMethodDefPointer {
        PyCFunctionWithKeywords: array_of_target,
    },
    ml_flags: METH_VARARGS | METH_KEYWORDS,
    ml_doc: std::ptr::null(),
});

/// `__array__`: the target's. One is made for a target that has none and is to numpy a single
/// value (a number, a string, a dict), which numpy would know by its type; a proxy it would take
/// for an object or a sequence.
pub(super) unsafe extern "C" fn get_array(o: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    let found = PyObject_GetAttr(target.get(), ARRAY.get());
    if !found.is_null() || PyErr_ExceptionMatches(PyExc_AttributeError) == 0 {
        return found;
    }
    let sequence = (*target.kind()).tp_as_sequence;
    let has_length = !sequence.is_null() && (*sequence).sq_length.is_some();
    if has_length && PySequence_Check(target.get()) != 0 && PyUnicode_Check(target.get()) == 0 {
        return null_mut();
    }
    PyErr_Clear();
    PyCFunction_NewEx(
        (&raw const ARRAY_OF_TARGET.0).cast_mut(),
        target.get(),
        null_mut(),
    )
}
