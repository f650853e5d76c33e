//! Tells rustc the `Py_3_x` cfgs; without this they are silently false.
fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
