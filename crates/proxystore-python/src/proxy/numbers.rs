//! Operators and conversions of numbers. A binary slot is called with the proxy on either side,
//! or on both, so it unwraps both.

use super::names::Global;
use super::target::{is_number, on_targets, operand, rebind, target};
use pyo3::ffi::*;
use std::ffi::{CStr, c_int};
use std::ptr::null_mut;

macro_rules! binary {
    ($($function:ident $operation:ident $slot:ident;)*) => {$(
        pub(super) unsafe extern "C" fn $function(
            left: *mut PyObject,
            right: *mut PyObject,
        ) -> *mut PyObject {
            on_targets(left, right, |left, right| {
                if let Some(numbers) = numbers_of(left, right)
                    && let Some(operation) = numbers.$slot
                {
                    return operation(left, right);
                }
                $operation(left, right)
            })
        }
    )*};
}

/// The slots of two ints or two floats, which always know the answer, so that no other is asked.
#[inline(always)]
unsafe fn numbers_of<'a>(left: *mut PyObject, right: *mut PyObject) -> Option<&'a PyNumberMethods> {
    let kind = Py_TYPE(left);
    if kind == Py_TYPE(right) && is_number(kind) {
        (*kind).tp_as_number.as_ref()
    } else {
        None
    }
}

binary! {
    add PyNumber_Add nb_add;
    subtract PyNumber_Subtract nb_subtract;
    multiply PyNumber_Multiply nb_multiply;
    matrix_multiply PyNumber_MatrixMultiply nb_matrix_multiply;
    true_divide PyNumber_TrueDivide nb_true_divide;
    floor_divide PyNumber_FloorDivide nb_floor_divide;
    remainder PyNumber_Remainder nb_remainder;
    divmod PyNumber_Divmod nb_divmod;
    left_shift PyNumber_Lshift nb_lshift;
    right_shift PyNumber_Rshift nb_rshift;
    and PyNumber_And nb_and;
    xor PyNumber_Xor nb_xor;
    or PyNumber_Or nb_or;
}

macro_rules! in_place {
    ($($function:ident $operation:ident;)*) => {$(
        pub(super) unsafe extern "C" fn $function(
            o: *mut PyObject,
            right: *mut PyObject,
        ) -> *mut PyObject {
            let Some(left) = target(o) else { return null_mut() };
            let Some(right) = operand(right) else { return null_mut() };
            rebind(o, $operation(left.get(), right.get()))
        }
    )*};
}

in_place! {
    in_place_add PyNumber_InPlaceAdd;
    in_place_subtract PyNumber_InPlaceSubtract;
    in_place_multiply PyNumber_InPlaceMultiply;
    in_place_matrix_multiply PyNumber_InPlaceMatrixMultiply;
    in_place_true_divide PyNumber_InPlaceTrueDivide;
    in_place_floor_divide PyNumber_InPlaceFloorDivide;
    in_place_remainder PyNumber_InPlaceRemainder;
    in_place_left_shift PyNumber_InPlaceLshift;
    in_place_right_shift PyNumber_InPlaceRshift;
    in_place_and PyNumber_InPlaceAnd;
    in_place_xor PyNumber_InPlaceXor;
    in_place_or PyNumber_InPlaceOr;
}

macro_rules! unary {
    ($($function:ident $operation:ident;)*) => {$(
        pub(super) unsafe extern "C" fn $function(o: *mut PyObject) -> *mut PyObject {
            let Some(target) = target(o) else { return null_mut() };
            $operation(target.get())
        }
    )*};
}

unary! {
    negative PyNumber_Negative;
    positive PyNumber_Positive;
    absolute PyNumber_Absolute;
    invert PyNumber_Invert;
    int PyNumber_Long;
    float PyNumber_Float;
}

/// `pow(a, b, c)`, where any of the three may be the proxy.
pub(super) unsafe extern "C" fn power(
    base: *mut PyObject,
    exponent: *mut PyObject,
    modulus: *mut PyObject,
) -> *mut PyObject {
    let Some(base) = operand(base) else {
        return null_mut();
    };
    let Some(exponent) = operand(exponent) else {
        return null_mut();
    };
    let Some(modulus) = operand(modulus) else {
        return null_mut();
    };
    PyNumber_Power(base.get(), exponent.get(), modulus.get())
}

pub(super) unsafe extern "C" fn in_place_power(
    o: *mut PyObject,
    exponent: *mut PyObject,
    modulus: *mut PyObject,
) -> *mut PyObject {
    let Some(base) = target(o) else {
        return null_mut();
    };
    let Some(exponent) = operand(exponent) else {
        return null_mut();
    };
    let Some(modulus) = operand(modulus) else {
        return null_mut();
    };
    rebind(
        o,
        PyNumber_InPlacePower(base.get(), exponent.get(), modulus.get()),
    )
}

/// A target with only `__int__` serves as an index: no native object does, but programs written
/// for ProxyStore 1.x count on it. A float has `__float__` as well and must not lose its fraction
/// in `time.sleep(p)`.
pub(super) unsafe extern "C" fn index(o: *mut PyObject) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    let number = (*target.kind()).tp_as_number;
    let has = |slot: Option<unaryfunc>| slot.is_some();
    if !number.is_null()
        && has((*number).nb_int)
        && !has((*number).nb_index)
        && !has((*number).nb_float)
    {
        return PyNumber_Long(target.get());
    }
    PyNumber_Index(target.get())
}

pub(super) unsafe extern "C" fn bool(o: *mut PyObject) -> c_int {
    let Some(target) = target(o) else { return -1 };
    PyObject_IsTrue(target.get())
}

pub(super) unsafe extern "C" fn method_complex(
    o: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    let Some(target) = target(o) else {
        return null_mut();
    };
    PyObject_CallOneArg((&raw mut PyComplex_Type).cast(), target.get())
}

macro_rules! rounding {
    ($($function:ident $global:ident $module:literal $name:literal;)*) => {$(
        static $global: Global = Global::new();

        /// The function and not the target's method: it has fallbacks of its own.
        pub(super) unsafe extern "C" fn $function(
            o: *mut PyObject,
            args: *const *mut PyObject,
            count: Py_ssize_t,
            keywords: *mut PyObject,
        ) -> *mut PyObject {
            call_with_target($global.load_from($module, $name), o, args, count, keywords)
        }
    )*};
}

rounding! {
    method_round ROUND c"builtins" c"round";
    method_trunc TRUNC c"math" c"trunc";
    method_floor FLOOR c"math" c"floor";
    method_ceil CEIL c"math" c"ceil";
}

/// `function(target, argument)`, with one further argument at most.
unsafe fn call_with_target(
    function: *mut PyObject,
    o: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    if function.is_null() {
        return null_mut();
    }
    let keyword_count = if keywords.is_null() {
        0
    } else {
        PyTuple_GET_SIZE(keywords)
    };
    if count + keyword_count > 1 {
        let sentence: &CStr = c"expected at most 1 argument, got %zd";
        PyErr_Format(PyExc_TypeError, sentence.as_ptr(), count + keyword_count);
        return null_mut();
    }
    let Some(target) = target(o) else {
        return null_mut();
    };
    let further = if count + keyword_count == 1 {
        *args
    } else {
        null_mut()
    };
    let all = [target.get(), further];
    PyObject_Vectorcall(function, all.as_ptr(), 1 + count as usize, keywords)
}
