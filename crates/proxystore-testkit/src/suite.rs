//! Choosing trials, running them, telling how it went.

use crate::clauses;
use proxystore::{Capability, Connector};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// A trial that takes longer than this hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// One thing that a connector must hold to.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&dyn Connector),
    pub(crate) forks: bool,
}

impl Trial {
    pub(crate) const fn new(name: &'static str, run: fn(&dyn Connector)) -> Self {
        Self {
            name,
            run,
            forks: false,
        }
    }

    pub(crate) const fn forking(name: &'static str, run: fn(&dyn Connector)) -> Self {
        Self {
            name,
            run,
            forks: true,
        }
    }

    /// Its name, unique among all trials.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it forks, and uses the connector in the child without executing anything first.
    #[must_use]
    pub fn forks(&self) -> bool {
        self.forks
    }

    /// Runs on a connector that has not been used yet, and is closed or of no use afterwards.
    ///
    /// # Errors
    /// What the connector did not hold to.
    pub fn run(&self, connector: &dyn Connector) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(|| (self.run)(connector))).map_err(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            text.unwrap_or("a panic without words").to_owned()
        })
    }
}

/// The trials for a connector that can do this much.
///
/// ```
/// use proxystore::Capability;
///
/// let names: Vec<_> = proxystore_testkit::trials(Capability::default())
///     .iter()
///     .map(|trial| trial.name())
///     .collect();
/// assert!(names.contains(&"missing_keys_are_no_error"));
/// assert!(!names.contains(&"a_key_made_first_is_set_later"), "needs `deferred_set`");
/// ```
#[must_use]
pub fn trials(capability: Capability) -> Vec<Trial> {
    clauses::all()
        .filter(|(_, applies)| applies(&capability))
        .map(|(trial, _)| trial)
        .collect()
}

/// Which trials run for which connector, as a table in Markdown.
///
/// ```
/// use proxystore::Capability;
///
/// let table = proxystore_testkit::coverage(&[("mine", Capability::default())]);
/// assert!(table.contains("| missing keys are no error | ✓ |"));
/// assert!(table.contains("| a key made first is set later | – |"));
/// ```
#[must_use]
pub fn coverage(connectors: &[(&str, Capability)]) -> String {
    let names: Vec<_> = connectors.iter().map(|(name, _)| *name).collect();
    table(&names, |_, applies, column| {
        applies(&connectors[column].1).then_some(true)
    })
}

/// A row for each trial, a column for each connector: passed, failed or not asked for.
fn table(
    connectors: &[&str],
    outcome: impl Fn(&Trial, clauses::Applies, usize) -> Option<bool>,
) -> String {
    let mut table = format!("| trial | {} |\n", connectors.join(" | "));
    table += &format!("|---|{}\n", "---|".repeat(connectors.len()));
    for (trial, applies) in clauses::all() {
        let cells: Vec<_> = (0..connectors.len())
            .map(|column| match outcome(&trial, applies, column) {
                None => "–",
                Some(true) => "✓",
                Some(false) => "✗",
            })
            .collect();
        let name = trial.name.replace('_', " ");
        table += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    table
}

/// Runs one trial by name. A panic inside becomes an error.
///
/// # Errors
/// What the connector did not hold to, or that there is no trial of this name.
pub fn run_trial(name: &str, connector: &dyn Connector) -> Result<(), String> {
    let found = clauses::all().find(|(trial, _)| trial.name == name);
    match found {
        Some((trial, _)) => trial.run(connector),
        None => Err(format!("there is no trial {name:?}")),
    }
}

/// Runs every trial that fits, each on a connector of its own, and prints the table.
///
/// # Panics
/// If a trial fails or does not end.
#[allow(clippy::print_stdout)] // the table is what one wants to see of it
pub fn run(factory: impl Fn() -> Arc<dyn Connector>) -> Report {
    let first = factory();
    let mut report = Report {
        connector: first.to_string(),
        outcomes: Vec::new(),
    };
    let capability = first.capability();
    drop(first);
    for trial in trials(capability) {
        let outcome = run_with_deadline(trial, factory());
        report.outcomes.push((trial.name, outcome));
    }
    println!("{report}");
    assert!(
        report.is_passed(),
        "{} does not hold to the contract:\n{report}",
        report.connector
    );
    report
}

fn run_with_deadline(trial: Trial, connector: Arc<dyn Connector>) -> Result<(), String> {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let outcome = trial.run(&*connector);
        let _ = connector.close(true);
        drop(connector);
        let _ = done.send(outcome);
    });
    wait.recv_timeout(DEADLINE)
        .unwrap_or_else(|_| Err(format!("no end after {} s", DEADLINE.as_secs())))
}

/// How one connector did, trial by trial.
#[derive(Clone, Debug)]
pub struct Report {
    connector: String,
    outcomes: Vec<(&'static str, Result<(), String>)>,
}

impl Report {
    /// The connector, as it displays itself.
    #[must_use]
    pub fn connector(&self) -> &str {
        &self.connector
    }

    /// Each trial's name and outcome, in order.
    pub fn outcomes(&self) -> &[(&'static str, Result<(), String>)] {
        &self.outcomes
    }

    /// Whether every trial was passed.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.outcomes.iter().all(|(_, outcome)| outcome.is_ok())
    }

    /// One table of several connectors, in Markdown: a row for each trial, a column for each
    /// connector. `–` stands where a connector's capability does not ask for a trial.
    #[must_use]
    pub fn table(reports: &[Self]) -> String {
        let names: Vec<_> = reports.iter().map(Self::connector).collect();
        table(&names, |trial, _, column| {
            let outcomes = &reports[column].outcomes;
            let found = outcomes.iter().find(|(name, _)| *name == trial.name);
            found.map(|(_, outcome)| outcome.is_ok())
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::table(std::slice::from_ref(self)))?;
        for (name, outcome) in &self.outcomes {
            if let Err(why) = outcome {
                write!(f, "\n{name}: {why}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxystore::connectors::memory::MemoryConnector;

    #[test]
    fn names_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for (trial, _) in clauses::all() {
            assert!(seen.insert(trial.name), "{} twice", trial.name);
        }
    }

    #[test]
    fn an_unknown_trial_is_an_error() {
        let error = run_trial("nonsense", &MemoryConnector::new()).unwrap_err();
        assert!(error.contains("nonsense"));
    }
}
