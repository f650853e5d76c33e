//! The daemon of one endpoint.

mod instance;
mod listen;
mod metrics;
mod peers;
mod serve;
mod socket;
mod status;

pub(crate) use instance::{forget, is_held};
pub(crate) use listen::{hostname, own_address};
pub(crate) use peers::KEY_FILE;

use crate::client::{Running, boot};
use crate::config::Config;
use crate::log;
use crate::objects::Objects;
use crate::storage::{Storage, StorageConfig, default_memory_limit};
use instance::Instance;
use listen::Listeners;
use proxystore::{Error, Result};
use status::Service;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// Turns of tasks after which a thread looks for new events: a turn may move a quarter of a megabyte, and whoever asks
/// for a kilobyte meanwhile waits for so many of them at most.
const TURNS: u32 = 4;
/// How long peers get to hear that we go.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs the endpoint of a folder until it gets `SIGTERM` or `SIGINT`. `ready` is called when it
/// serves.
///
/// # Errors
/// If it runs already, or something that it needs cannot be opened.
pub fn run(dir: &Path, ready: impl FnOnce(&Running)) -> Result<()> {
    let config = Config::read(dir)?;
    let instance = Instance::take(dir)?;
    prepare_process();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.clamp(2, 8))
        .event_interval(TURNS)
        .global_queue_interval(TURNS)
        .enable_all()
        .build()
        .map_err(|error| Error::io(error, "starting the daemon"))?;
    let ended = runtime.block_on(serve(dir, &config, &instance, ready));
    runtime.shutdown_timeout(Duration::from_secs(2));
    drop(instance);
    log::info(format_args!("stopped"));
    ended
}

/// More descriptors, and no death by the signal of a lease that somebody breaks, or of a file that
/// would get longer than `ulimit -f` allows: that is an error of the write.
fn prepare_process() {
    // SAFETY: the calls change limits and the handling of two signals of this process, from memory
    // that lives as long as they do.
    unsafe {
        libc::signal(libc::SIGIO, libc::SIG_IGN);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

async fn serve(
    dir: &Path,
    config: &Config,
    instance: &Instance,
    ready: impl FnOnce(&Running),
) -> Result<()> {
    let failed = |error| Error::io(error, "listening to signals");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let storage = Arc::new(Storage::open(storage_config(dir, config))?);
    let remote = peers::start(dir, config, Arc::clone(&storage) as Arc<dyn Objects>).await?;
    let started = SystemTime::now();
    let service = Arc::new(Service {
        name: config.name.clone(),
        uuid: config.uuid.clone(),
        host: listen::hostname(),
        started,
        objects: storage,
        remote: remote.clone(),
        connections: AtomicU64::new(0),
        requests: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        bytes_in: AtomicU64::new(0),
        bytes_out: AtomicU64::new(0),
    });
    let listeners = Listeners::open(dir, config).await?;
    let running = Running {
        dir: dir.to_owned(),
        name: config.name.clone(),
        uuid: config.uuid.clone(),
        key: remote
            .as_ref()
            .map_or_else(String::new, |remote| remote.key()),
        pid: std::process::id(),
        host: service.host.clone(),
        boot: boot(),
        started: started
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
        socket: listeners.socket.clone(),
        address: listeners.address.clone(),
    };
    let socket = listeners.socket.clone();
    let metrics = match &config.metrics {
        Some(section) => Some(listen::metrics(section.port).await?),
        None => None,
    };
    let mut tasks = tokio::task::JoinSet::new();
    if let Some(metrics) = metrics {
        tasks.spawn(metrics::serve(metrics, Arc::clone(&service)));
    }
    tasks.spawn(listeners.serve(Arc::clone(&service)));
    instance.announce(&running)?;
    log::info(format_args!(
        "endpoint {} ({}) serves at {} {}",
        running.name,
        running.uuid,
        running.socket.display(),
        running.address
    ));
    ready(&running);
    let mut heartbeat = tokio::time::interval(instance::HEARTBEAT);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = heartbeat.tick() => instance.beat(),
        }
    }
    log::info(format_args!("stopping"));
    let _ = std::fs::remove_file(&socket);
    tasks.abort_all();
    if let Some(remote) = remote {
        let _ = tokio::time::timeout(FAREWELL, remote.close()).await;
    }
    Ok(())
}

fn storage_config(dir: &Path, config: &Config) -> StorageConfig {
    let database = config.database();
    if let (Some(older), Some(ours)) = (&config.storage.database_path, &database)
        && older != ours
    {
        log::warning(format_args!(
            "{} is the database of ProxyStore 1.1: its objects are not served, and it stays as it \
             is; objects persist in {}",
            older.display(),
            ours.display()
        ));
    }
    StorageConfig {
        database,
        spill: config.storage.spill.then(|| dir.join("spill")),
        memory_limit: config
            .storage
            .memory_limit
            .unwrap_or_else(default_memory_limit),
        max_object_size: config.max_object_size(),
    }
}
