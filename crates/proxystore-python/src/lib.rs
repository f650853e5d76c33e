//! `proxystore._core`: the extension module behind the Python package.
//!
//! This crate translates between CPython and the core crate and decides nothing, but for two
//! rooms whose logic is CPython's own: `proxy` (the lazy transparent stand-in) and `codec`
//! (objects to frames and back).

mod backend;
mod cache;
mod codec;
mod connector;
mod door;
mod error;
mod factory;
mod many;
mod metrics;
mod open;
mod proxy;
mod routing;
mod seal;
mod store;
mod stored;
mod stream;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
mod _core {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use super::cache::PyLruCache;
    #[pymodule_export]
    use super::connector::PyNativeConnector;
    #[pymodule_export]
    use super::factory::{PyStoreFactory, store_factory, store_proxy};
    #[pymodule_export]
    use super::many::get_many;
    #[pymodule_export]
    use super::open::{
        join_shared_memory, open_endpoint, open_file, open_memory, open_object_store, open_redis,
        open_redis_url, open_shared_memory,
    };
    #[pymodule_export]
    use super::routing::{policy_order, policy_takes};
    #[pymodule_export]
    use super::seal::PySeal;
    #[pymodule_export]
    use super::store::PyStore;
    #[pymodule_export]
    use super::stored::{copy_object, set_frame};

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("__version__", env!("CARGO_PKG_VERSION"))?;
        super::door::register();
        super::proxy::register(m)?;
        super::codec::register(m)?;
        super::stream::register(m)?;
        m.add("_registry", super::factory::registry(m.py()))
    }
}
