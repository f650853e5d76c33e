//! The routing rules of the core, for policies that are Python objects.

use proxystore::routing::{self, Policy};
use pyo3::intern;
use pyo3::prelude::*;

/// Whether a policy takes an object, by what is known of it.
#[pyfunction]
pub(crate) fn policy_takes(
    policy: &Bound<'_, PyAny>,
    size_bytes: Option<u64>,
    subset_tags: Option<Vec<String>>,
    superset_tags: Option<Vec<String>>,
) -> PyResult<bool> {
    let py = policy.py();
    let own = |name| policy.getattr(name);
    let tags = |name| -> PyResult<Vec<String>> { own(name)?.try_iter()?.map(text).collect() };
    // A limit may be any number, such as 1e6 or infinity; `as` saturates.
    let smallest = own(intern!(py, "min_size_bytes"))?;
    let smallest = match smallest.extract::<u64>() {
        Ok(bytes) => bytes,
        Err(_) => smallest.extract::<f64>()?.ceil() as u64,
    };
    let largest = own(intern!(py, "max_size_bytes"))?;
    let largest = match largest.extract::<u64>() {
        Ok(bytes) => bytes,
        Err(_) => match largest.extract::<f64>()? {
            nothing if nothing < 0.0 && size_bytes.is_some() => return Ok(false),
            bytes => bytes as u64,
        },
    };
    let rule = Policy::default()
        .min_size(smallest)
        .max_size(largest)
        .subset_tags(tags(intern!(py, "subset_tags"))?)
        .superset_tags(tags(intern!(py, "superset_tags"))?);
    let subset = subset_tags.as_deref().map(borrowed);
    let superset = superset_tags.as_deref().map(borrowed);
    Ok(rule.takes(size_bytes, subset.as_deref(), superset.as_deref()))
}

/// The places of policies in the order in which they are asked, by their priorities.
#[pyfunction]
pub(crate) fn policy_order(priorities: Vec<i64>) -> Vec<usize> {
    routing::order(priorities)
}

fn text(tag: PyResult<Bound<'_, PyAny>>) -> PyResult<String> {
    tag?.extract()
}

fn borrowed(tags: &[String]) -> Vec<&str> {
    tags.iter().map(String::as_str).collect()
}
