//! Which node has which slots, as a node of the cluster says.

use super::slot::SLOTS;
use crate::connectors::redis::config::RedisConfig;
use crate::connectors::redis::connection::{Connection, Failure};
use crate::connectors::redis::pool::Pool;
use crate::connectors::redis::protocol::{Commands, Head};
use std::sync::Arc;

/// A slot that nobody has.
const NOBODY: u16 = u16::MAX;

/// One server of the cluster.
#[derive(Debug)]
pub(super) struct Node {
    /// How to reach it, and it alone.
    pub(super) config: RedisConfig,
    pub(super) pool: Pool,
}

impl Node {
    /// A node at an address, otherwise used as the cluster is.
    pub(super) fn new(of: &RedisConfig, host: &str, port: u16) -> Self {
        Self {
            config: RedisConfig {
                host: host.to_owned(),
                port,
                cluster: None,
                ..of.clone()
            },
            pool: Pool::new(),
        }
    }

    pub(super) fn is_at(&self, host: &str, port: u16) -> bool {
        self.config.host == host && self.config.port == port
    }
}

/// The masters with their slots.
#[derive(Debug)]
pub(super) struct Map {
    /// For each slot, a place in `masters`.
    owners: Box<[u16]>,
    pub(super) masters: Vec<Arc<Node>>,
    /// They know the map as well.
    pub(super) replicas: Vec<Arc<Node>>,
}

impl Map {
    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        self.masters.get(self.place(slot))
    }

    /// Where the slot's owner stands among the masters; beyond them if there is none.
    pub(super) fn place(&self, slot: u16) -> usize {
        usize::from(self.owners[usize::from(slot)])
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.masters.iter().chain(&self.replicas)
    }

    /// Whether both say the same of the masters.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let same = |one: &Arc<Node>, two: &Arc<Node>| Arc::ptr_eq(one, two);
        self.owners == other.owners
            && self.masters.len() == other.masters.len()
            && std::iter::zip(&self.masters, &other.masters).all(|(one, two)| same(one, two))
    }

    /// Asks a node. Nodes that are known already are kept, with their idle connections.
    pub(super) fn ask(
        connection: &mut Connection,
        asked: &Node,
        known: Option<&Self>,
        config: &RedisConfig,
    ) -> Result<Self, Failure> {
        connection.send(&Commands::of(&[b"CLUSTER", b"SLOTS"]))?;
        let mut map = Self {
            owners: vec![NOBODY; usize::from(SLOTS)].into_boxed_slice(),
            masters: Vec::new(),
            replicas: Vec::new(),
        };
        for _ in 0..connection.array()? {
            let fields = connection.array()?;
            let (first, last) = (connection.integer()?, connection.integer()?);
            for index in 2..fields {
                let node = node(connection, asked, known, &map, config)?;
                let list = if index == 2 {
                    &mut map.masters
                } else {
                    &mut map.replicas
                };
                let place = list.iter().position(|one| Arc::ptr_eq(one, &node));
                let place = place.unwrap_or_else(|| {
                    list.push(node);
                    list.len() - 1
                });
                if index == 2 {
                    let slots = usize::try_from(first).ok().zip(usize::try_from(last).ok());
                    let place = u16::try_from(place).ok();
                    let range = slots.and_then(|(first, last)| map.owners.get_mut(first..=last));
                    match range.zip(place) {
                        Some((range, place)) => range.fill(place),
                        None => return Err(odd()),
                    }
                }
            }
        }
        if map.masters.is_empty() {
            let words = "CLUSTERDOWN no slot has a server yet; was the cluster created?";
            return Err(Failure::Server(words.to_owned()));
        }
        Ok(map)
    }
}

/// Reads one node: host, port, and whatever newer servers add.
fn node(
    connection: &mut Connection,
    asked: &Node,
    known: Option<&Map>,
    map: &Map,
    config: &RedisConfig,
) -> Result<Arc<Node>, Failure> {
    let fields = connection.array()?;
    if fields < 2 {
        return Err(odd());
    }
    let host = connection.bulk()?.map(|host| host.to_vec());
    let host = host.and_then(|host| String::from_utf8(host).ok());
    // A node that does not know its own address says nothing, or a question mark: it is the one
    // that was asked.
    let host = host.filter(|host| !host.is_empty() && host != "?");
    let host = host.as_deref().unwrap_or(&asked.config.host);
    let port = u16::try_from(connection.integer()?).map_err(|_| odd())?;
    for _ in 2..fields {
        skip(connection)?;
    }
    let mut nodes = map.nodes().chain(known.into_iter().flat_map(Map::nodes));
    let found = nodes.find(|node| node.is_at(host, port)).cloned();
    Ok(found.unwrap_or_else(|| Arc::new(Node::new(config, host, port))))
}

/// Reads and forgets one answer, with all that it holds.
fn skip(connection: &mut Connection) -> Result<(), Failure> {
    match connection.head()? {
        Head::Array(items) => {
            let items = items.unwrap_or(0);
            connection.owed = connection.owed.saturating_add(items);
            (0..items).try_for_each(|_| skip(connection))
        }
        head @ Head::Bulk(_) => connection.bulk_after(&head).map(drop),
        _ => Ok(()),
    }
}

fn odd() -> Failure {
    Failure::Protocol("an odd answer to CLUSTER SLOTS".to_owned())
}
