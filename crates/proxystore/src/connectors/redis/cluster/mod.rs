//! Redis Cluster: every call goes to the node that has its key, and follows the slots when they
//! move.

mod config;
mod map;
mod migrating;
mod patience;
mod redirect;
mod slot;

pub use config::ClusterConfig;
pub(super) use config::joined;
pub(super) use migrating::Migration;
pub(super) use slot::{slot_of, tag_of};

use super::config::RedisConfig;
use super::connection::{Connection, Failure, is_timeout};
use super::stream::remaining;
use crate::fork::ForkMutex;
use map::{Map, Node};
use patience::Patience;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// How often the masters are gone through again because slots moved meanwhile.
const PASSES: usize = 8;

/// A cluster as one process after the other uses it.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Of every node, but for its address.
    config: RedisConfig,
    /// The nodes that are asked when no other one is known.
    first: Vec<Arc<Node>>,
    state: ForkMutex<State>,
    /// Which node is asked next for the map.
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    map: Option<Arc<Map>>,
    /// A node was silent: others may know more by now.
    is_doubtful: bool,
}

/// A failure, and the node that it was with.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) failure: Failure,
    pub(super) node: Option<String>,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            node: None,
        }
    }
}

impl Cluster {
    pub(super) fn new(config: &RedisConfig, cluster: &ClusterConfig) -> Self {
        let node = |(host, port): &(String, u16)| Arc::new(Node::new(config, host, *port));
        Self {
            first: cluster.nodes.iter().map(node).collect(),
            config: config.clone(),
            state: ForkMutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Closes what is idle.
    pub(super) fn close(&self) {
        let map = self.state.lock().map.take();
        let known = map.iter().flat_map(|map| map.nodes());
        known.chain(&self.first).for_each(|node| node.pool.clear());
    }

    /// Asks for the map anew.
    pub(super) fn ping(&self) -> Result<(), Trouble> {
        let known = self.state.lock().map.clone();
        self.look_up(known.as_ref(), None).map(drop)
    }

    /// Runs `work` on a connection to the owner of a key.
    pub(super) fn call<T>(
        &self,
        name: &[u8],
        mut work: impl FnMut(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Trouble> {
        let mut patience = Patience::new(&self.config);
        self.call_patiently(name, &mut patience, &mut work)
    }

    fn call_patiently<T>(
        &self,
        name: &[u8],
        patience: &mut Patience,
        work: &mut dyn FnMut(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Trouble> {
        let mut is_migrating = false;
        loop {
            let (map, node) = self.owner(name, patience)?;
            let failure = match self.work_on(&node, is_migrating, work) {
                Ok(result) => return Ok(result),
                Err(failure) => failure,
            };
            is_migrating = patience.recover(self, &map, Some(&node), failure)?;
        }
    }

    /// Runs `work` once for each node that has some of the keys, with the places of those among
    /// `names`. What is refused because a slot moves is done key by key.
    pub(super) fn call_each(
        &self,
        names: &[Vec<u8>],
        mut work: impl FnMut(&mut Connection, &[usize]) -> Result<(), Failure>,
    ) -> Result<(), Trouble> {
        let mut patience = Patience::new(&self.config);
        let mut left: Vec<usize> = (0..names.len()).collect();
        while let Some(&first) = left.first() {
            let (map, _) = self.owner(&names[first], &mut patience)?;
            let place = |at: &usize| map.place(slot_of(&names[*at]));
            left.sort_by_key(|at| (place(at), *at));
            let mut undone = Vec::new();
            for part in left.chunk_by(|one, two| place(one) == place(two)) {
                let Some(node) = map.masters.get(place(&part[0])) else {
                    undone.extend(part);
                    continue;
                };
                let Err(failure) = self.work_on(node, false, &mut |one| work(one, part)) else {
                    continue;
                };
                if patience.recover(self, &map, Some(node), failure)? {
                    for at in part {
                        let mut of_one = |one: &mut Connection| work(one, &[*at]);
                        self.call_patiently(&names[*at], &mut patience, &mut of_one)?;
                    }
                } else {
                    undone.extend(part);
                }
            }
            left = undone;
        }
        Ok(())
    }

    /// Runs `work` on every master, and again if slots moved meanwhile. `after` gets what it
    /// returned.
    pub(super) fn call_all<T>(
        &self,
        mut work: impl FnMut(&mut Connection) -> Result<T, Failure>,
        mut after: impl FnMut(T) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let mut patience = Patience::new(&self.config);
        let mut done_with: Option<Arc<Map>> = None;
        for _ in 0..PASSES {
            let known = self.state.lock().map.clone();
            let map = self.look_up(known.as_ref(), None)?;
            if done_with.is_some_and(|done| done.is_as(&map)) {
                return Ok(());
            }
            let mut is_whole = true;
            for node in &map.masters {
                match self.work_on(node, false, &mut work) {
                    Ok(found) => after(found)?,
                    // The next look tells who took over.
                    Err(failure) => {
                        patience.recover(self, &map, Some(node), failure)?;
                        is_whole = false;
                    }
                }
            }
            done_with = is_whole.then_some(map);
        }
        let words = "TRYAGAIN slots of the cluster keep moving";
        Err(Failure::Server(words.to_owned()).into())
    }

    /// A new connection to the owner of a key.
    pub(super) fn open(&self, name: &[u8]) -> Result<Box<Connection>, Trouble> {
        let mut patience = Patience::new(&self.config);
        let (_, node) = self.owner(name, &mut patience)?;
        let opened = Connection::open(&node.config).map(Box::new);
        opened.map_err(|failure| self.trouble(failure, Some(&node)))
    }

    /// Who has a key, as far as is known.
    fn owner(
        &self,
        name: &[u8],
        patience: &mut Patience,
    ) -> Result<(Arc<Map>, Arc<Node>), Trouble> {
        loop {
            let (map, is_doubtful) = {
                let state = self.state.lock();
                (state.map.clone(), state.is_doubtful)
            };
            let map = match map {
                Some(map) if !is_doubtful => map,
                // An old map is better than none.
                Some(map) => self.look_up(Some(&map), None).unwrap_or(map),
                None => self.look_up(None, None)?,
            };
            if let Some(node) = map.owner(slot_of(name)) {
                let node = node.clone();
                return Ok((map, node));
            }
            let words = "CLUSTERDOWN no server has the slot of this key";
            patience.recover(self, &map, None, Failure::Server(words.to_owned()))?;
        }
    }

    /// Runs `work` on one node, once.
    fn work_on<T>(
        &self,
        node: &Node,
        is_migrating: bool,
        work: &mut dyn FnMut(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut connection = match node.pool.take() {
            Some(connection) => connection,
            None => Box::new(Connection::open(&node.config).map_err(not_there)?),
        };
        if is_migrating {
            connection.migration = Some(Migration::from(node.config.clone()));
        }
        let result = work(&mut connection);
        if matches!(result, Err(Failure::Server(_))) {
            // So that it stays of use. What is to be told is known already.
            let _ = connection.drain();
        }
        // After a migration its buffer is as large as the answers were.
        if !is_migrating && connection.is_reusable() {
            node.pool.give(connection);
        }
        result
    }

    /// Asks for the map, a certain node first, unless another thread has asked meanwhile.
    fn look_up(
        &self,
        known: Option<&Arc<Map>>,
        first: Option<&Arc<Node>>,
    ) -> Result<Arc<Map>, Trouble> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let known_nodes: Vec<_> = known.iter().flat_map(|map| map.nodes()).collect();
        let mut nodes: Vec<_> = first.into_iter().collect();
        let middle = turn % known_nodes.len().max(1);
        nodes.extend(&known_nodes[middle..]);
        nodes.extend(&known_nodes[..middle]);
        nodes.extend(&self.first);
        let deadline = Instant::now() + self.config.connect_timeout;
        let mut last = None;
        for (at, node) in nodes.iter().enumerate() {
            // One that is silent leaves time for the others.
            let Ok(left) = remaining(deadline) else { break };
            let share = left / u32::try_from((nodes.len() - at).min(3)).unwrap_or(1);
            let config = RedisConfig {
                connect_timeout: share,
                timeout: share.min(self.config.timeout),
                ..node.config.clone()
            };
            let asked = Connection::open(&config).and_then(|mut connection| {
                Map::ask(&mut connection, node, known.map(|map| &**map), &self.config)
            });
            match asked {
                Ok(map) => return Ok(self.learn(map)),
                // Nobody is there, or this one says why.
                Err(failure @ Failure::Broken(_)) => last = last.or(Some(Trouble::from(failure))),
                Err(failure) => last = Some(self.trouble(failure, Some(node))),
            }
        }
        let silent = || Failure::Broken(io::ErrorKind::TimedOut.into()).into();
        Err(last.unwrap_or_else(silent))
    }

    fn learn(&self, map: Map) -> Arc<Map> {
        let mut state = self.state.lock();
        state.is_doubtful = false;
        match &state.map {
            Some(same) if same.is_as(&map) => same.clone(),
            _ => state.map.insert(Arc::new(map)).clone(),
        }
    }

    fn doubt(&self) {
        self.state.lock().is_doubtful = true;
    }

    fn trouble(&self, failure: Failure, node: Option<&Arc<Node>>) -> Trouble {
        if matches!(&failure, Failure::Broken(error) if is_timeout(error)) {
            self.doubt();
        }
        Trouble {
            failure,
            node: node.map(|node| node.config.place()),
        }
    }
}

/// A node that cannot be reached in time was not asked for anything: others may take over.
fn not_there(failure: Failure) -> Failure {
    match failure {
        Failure::Broken(error) if is_timeout(&error) => {
            let silent = "it does not answer within `connect_timeout`";
            Failure::Broken(io::Error::new(io::ErrorKind::HostUnreachable, silent))
        }
        other => other,
    }
}
