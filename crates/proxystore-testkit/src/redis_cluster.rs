//! A real Redis Cluster of a test's own.

use crate::redis_server::{RedisServer, free_port};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Slots of a cluster.
const SLOTS: usize = 16_384;
/// How long the nodes may take to find and to replace each other.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three masters and a replica of each, on free ports of the loopback. They end when this value is
/// dropped.
///
/// ```
/// let cluster = proxystore_testkit::RedisCluster::start(&[]);
/// assert!(cluster.nodes()[0].ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// How many of the nodes are masters in the beginning.
    pub const MASTERS: usize = 3;

    /// Starts the nodes, makes a cluster of them, and waits until each knows all. `arguments` are
    /// added to the command line of each.
    ///
    /// # Panics
    /// If there is no `redis-server` on this machine, or the nodes do not agree in time.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let arguments = |_| {
            let own = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500"];
            let own = own.iter().chain(&["--repl-diskless-sync-delay", "0"]);
            own.chain(arguments)
                .map(|text| (*text).to_owned())
                .collect()
        };
        let nodes: Vec<_> = (0..2 * Self::MASTERS)
            .map(|_| RedisServer::start_on(port_with_a_bus, arguments))
            .collect();
        let cluster = Self { nodes };
        cluster.join();
        cluster
    }

    /// The nodes: first the masters, then a replica of each, as it was in the beginning.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The same, to stop and restart them.
    pub fn nodes_mut(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// Hosts and ports of all nodes.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, u16)> {
        self.nodes.iter().map(|node| ("127.0.0.1", node.port()))
    }

    fn join(&self) {
        let (masters, replicas) = self.nodes.split_at(Self::MASTERS);
        for (at, node) in self.nodes.iter().enumerate() {
            let epoch = (at + 1).to_string();
            done(node, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        for (at, master) in masters.iter().enumerate() {
            let slots = at * SLOTS / Self::MASTERS..(at + 1) * SLOTS / Self::MASTERS;
            let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
            let mut command = vec!["CLUSTER", "ADDSLOTS"];
            command.extend(slots.iter().map(String::as_str));
            done(master, &command);
        }
        for (at, node) in self.nodes.iter().enumerate() {
            for other in &self.nodes[at + 1..] {
                let port = other.port().to_string();
                done(node, &["CLUSTER", "MEET", "127.0.0.1", &port]);
            }
        }
        let knows_all = |node: &RedisServer| {
            let known = node.ask(&["CLUSTER", "NODES"]);
            known.lines().count() == self.nodes.len() && !known.contains("handshake")
        };
        until("every node knows all", || self.nodes.iter().all(knows_all));
        for (replica, master) in replicas.iter().zip(masters) {
            let id = master.ask(&["CLUSTER", "MYID"]);
            done(replica, &["CLUSTER", "REPLICATE", &id]);
        }
        self.wait_until_whole();
    }

    /// Waits until every slot has a master, and every replica all that its master has.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn wait_until_whole(&self) {
        until("the cluster is whole", || {
            self.nodes.iter().all(|node| {
                let info = node.ask(&["CLUSTER", "INFO"]);
                let role = node.ask(&["INFO", "replication"]);
                let follows = role.contains("role:master") || role.contains("link_status:up");
                let is_known = self.nodes.iter().all(|other| {
                    let slots = other.ask(&["CLUSTER", "SLOTS"]);
                    slots.lines().any(|line| line == node.port().to_string())
                });
                info.contains("cluster_state:ok") && follows && is_known
            })
        });
    }

    /// Where a key is kept now, as the first node that answers says: a place among the nodes.
    ///
    /// # Panics
    /// If no node has it.
    #[must_use]
    pub fn owner(&self, slot: u16) -> usize {
        let asked = self.nodes.iter().find(|node| node.is_running());
        let found = owner_says(asked.expect("a node"), slot);
        let at = self
            .nodes
            .iter()
            .position(|node| Some(node.port()) == found);
        at.expect("an owner of the slot")
    }

    /// Begins to move a slot to another node, and moves some of its keys, those that `choose`
    /// takes. [`finish_moving`](Self::finish_moving) ends it.
    ///
    /// # Panics
    /// If a node refuses.
    pub fn begin_moving(&self, slot: u16, to: usize, choose: impl Fn(&str) -> bool) -> Moving {
        let from = self.owner(slot);
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let number = slot.to_string();
        let (from_id, to_id) = (
            source.ask(&["CLUSTER", "MYID"]),
            target.ask(&["CLUSTER", "MYID"]),
        );
        done(
            target,
            &["CLUSTER", "SETSLOT", &number, "IMPORTING", &from_id],
        );
        done(
            source,
            &["CLUSTER", "SETSLOT", &number, "MIGRATING", &to_id],
        );
        let moving = Moving { slot, from, to };
        self.move_keys(&moving, choose);
        moving
    }

    /// Moves those keys of a moving slot that `choose` takes.
    ///
    /// # Panics
    /// If a node refuses.
    pub fn move_keys(&self, moving: &Moving, choose: impl Fn(&str) -> bool) {
        let port = self.nodes[moving.to].port().to_string();
        let source = &self.nodes[moving.from];
        let keys = source.ask(&[
            "CLUSTER",
            "GETKEYSINSLOT",
            &moving.slot.to_string(),
            "100000",
        ]);
        for key in keys.lines().filter(|key| !key.is_empty() && choose(key)) {
            let moved = source.ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "10000"]);
            assert!(moved == "OK" || moved == "NOKEY", "{moved}");
        }
    }

    /// Moves what is left of a slot, and gives the slot to its new node.
    ///
    /// # Panics
    /// If a node refuses.
    pub fn finish_moving(&self, moving: &Moving) {
        let number = moving.slot.to_string();
        let id = self.nodes[moving.to].ask(&["CLUSTER", "MYID"]);
        // As `redis-cli --cluster reshard` does: first who gets it, then who had it, which refuses
        // while there are keys left. Before all agree nothing else is moved, or nodes disagree for
        // good.
        self.move_keys(moving, |_| true);
        done(
            &self.nodes[moving.to],
            &["CLUSTER", "SETSLOT", &number, "NODE", &id],
        );
        loop {
            self.move_keys(moving, |_| true);
            let given = &["CLUSTER", "SETSLOT", &number, "NODE", &id];
            if self.nodes[moving.from].ask(given) == "OK" {
                break;
            }
        }
        until("all nodes agree about a slot", || {
            let port = self.nodes[moving.to].port();
            let agrees = |node: &RedisServer| owner_says(node, moving.slot) == Some(port);
            self.nodes.iter().all(agrees)
        });
    }
}

/// The port of a slot's owner, as a node says.
fn owner_says(node: &RedisServer, slot: u16) -> Option<u16> {
    let text = node.ask(&["CLUSTER", "SLOTS"]);
    // Ranges, each with its master first: first, last, host, port, id, more nodes.
    let lines: Vec<_> = text.lines().collect();
    let number = |at: usize| lines.get(at).and_then(|line| line.parse::<u16>().ok());
    (0..lines.len()).find_map(|at| {
        let (first, last, port) = (number(at)?, number(at + 1)?, number(at + 3)?);
        let is_range = lines[at + 2] == "127.0.0.1" && (first..=last).contains(&slot);
        is_range.then_some(port)
    })
}

/// A slot on its way from one node to another.
#[derive(Clone, Copy, Debug)]
pub struct Moving {
    slot: u16,
    from: usize,
    to: usize,
}

/// A free port below 55536, so that the one 10000 above, where nodes talk to each other, is one.
fn port_with_a_bus() -> u16 {
    for _ in 0..1000 {
        let port = free_port();
        let bus = port.checked_add(10_000);
        if bus.is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok()) {
            return port;
        }
    }
    panic!("no free port with another one 10000 above")
}

fn done(node: &RedisServer, command: &[&str]) {
    let answer = node.ask(command);
    assert_eq!(answer, "OK", "{command:?}");
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
