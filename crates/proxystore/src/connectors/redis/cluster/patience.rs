//! How long a call follows redirections, and waits for a replica to take over.

use super::map::{Map, Node};
use super::redirect::Remedy;
use super::{Cluster, Trouble};
use crate::connectors::redis::config::RedisConfig;
use crate::connectors::redis::connection::Failure;
use crate::interrupt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Redirections in a row; more than two of them come when nodes do not agree yet.
const REDIRECTIONS: u32 = 16;
/// Before the second repetition; twice as long before each one after it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What is left of it in one call.
pub(super) struct Patience {
    began: Instant,
    /// None is left after this.
    limit: Duration,
    retries: u32,
    attempts: u32,
    redirections: u32,
}

impl Patience {
    pub(super) fn new(config: &RedisConfig) -> Self {
        Self {
            began: Instant::now(),
            limit: config.timeout,
            retries: config.retries,
            attempts: 0,
            redirections: 0,
        }
    }

    /// Does what is to be done before the call is tried again; says whether its slot is moving.
    /// Where nothing helps, or it took too long, the failure is given back.
    pub(super) fn recover(
        &mut self,
        cluster: &Cluster,
        map: &Arc<Map>,
        node: Option<&Arc<Node>>,
        failure: Failure,
    ) -> Result<bool, Trouble> {
        let mut told = None;
        match &Remedy::of(&failure) {
            // It may have moved by now, which is seen by trying.
            Remedy::Migrating if self.began.elapsed() < self.limit => return Ok(true),
            Remedy::None | Remedy::Migrating => return Err(cluster.trouble(failure, node)),
            Remedy::Moved(host, port) => {
                self.redirections += 1;
                let host = host
                    .as_deref()
                    .or(node.map(|node| node.config.host.as_str()));
                let host = host.unwrap_or_default();
                let known = map.nodes().find(|node| node.is_at(host, *port)).cloned();
                let fresh = || Arc::new(Node::new(&cluster.config, host, *port));
                told = Some(known.unwrap_or_else(fresh));
            }
            Remedy::Later => {
                // What broke this connection has broken the idle ones as well.
                node.inspect(|node| node.pool.clear());
                self.attempts += 1;
            }
        }
        let repeated = self.attempts + self.redirections.saturating_sub(2);
        if repeated > 1 {
            let pause = FIRST_PAUSE * (1 << (repeated - 2).min(8));
            std::thread::sleep(pause.min(LONGEST_PAUSE));
        }
        if interrupt::is_requested() {
            let interrupted = io::Error::from(io::ErrorKind::Interrupted);
            return Err(cluster.trouble(interrupted.into(), node));
        }
        let is_over = self.retries == 0 && self.attempts > 0
            || self.redirections > REDIRECTIONS
            || self.began.elapsed() >= self.limit;
        if is_over {
            return Err(cluster.trouble(failure, node));
        }
        match cluster.look_up(Some(map), told.as_ref()) {
            Ok(_) => Ok(false),
            // Nobody of the cluster is there.
            Err(_) if self.attempts > self.retries => Err(cluster.trouble(failure, node)),
            Err(_) => {
                self.attempts += 1;
                Ok(false)
            }
        }
    }
}
