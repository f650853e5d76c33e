//! The peers of a daemon, as its configuration wants them.

use crate::config::Config;
use crate::identity::{Alias, SecretKey};
use crate::log;
use crate::objects::Objects;
use crate::peer::{Peers, PeersConfig, RelayAccess};
use crate::remote::Remote;
use crate::secret_file;
use proxystore::{Error, ErrorKind, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;

/// The file with the endpoint's secret key.
pub(crate) const KEY_FILE: &str = "key";
/// The file with those who may come in.
pub(crate) const LIST_FILE: &str = "peers.toml";

/// The public relay that 1.1 names unless it is told otherwise. No public service is used here.
const OLDER_RELAY: &str = "://relay.proxystore.dev";

pub(super) async fn start(
    dir: &Path,
    config: &Config,
    objects: Arc<dyn Objects>,
) -> Result<Option<Arc<dyn Remote>>> {
    if !config.peers.enabled {
        return Ok(None);
    }
    let key = SecretKey::load_or_create(&dir.join(KEY_FILE))?;
    let mut peers = PeersConfig::new(key, dir.join(LIST_FILE));
    peers.alias = Some(config.uuid.parse::<Alias>()?);
    for address in &config.peers.listen {
        let found = address
            .to_socket_addrs()
            .map_err(|error| wrong(format!("`peers.listen`: {address} is no address: {error}")))?;
        peers.listen.extend(found);
    }
    peers.relay = relay(config)?;
    peers.tls = config.peers.direct_tls;
    peers.quic = config.peers.quic;
    peers.relay_only = config.peers.relay_only;
    peers.log = Arc::new(|text| log::warning(format_args!("{text}")));
    let peers: Arc<dyn Remote> = Peers::start(peers, objects).await?;
    Ok(Some(peers))
}

fn relay(config: &Config) -> Result<Option<RelayAccess>> {
    let Some(address) = &config.relay.address else {
        return Ok(None);
    };
    if address.contains(OLDER_RELAY) {
        log::warning(format_args!(
            "the relay {address} is that of ProxyStore 1.1 and does not serve this endpoint: \
             without one of your own (`proxystore-relay`), peers need an address of each other"
        ));
        return Ok(None);
    }
    // 1.1 spoke WebSocket to its relay.
    let url = match address.split_once("://") {
        Some(("wss", rest)) => format!("https://{rest}"),
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(_) => address.clone(),
        None => format!("https://{address}"),
    };
    let token = match &config.relay.token_file {
        Some(path) => Some(secret_file::read(path, "token file of the relay")?),
        None => None,
    };
    let roots = match &config.relay.certificate {
        Some(path) => {
            let unread = |error| {
                wrong(format!(
                    "`relay.certificate`: {} holds no certificate: {error}",
                    path.display()
                ))
            };
            let found = CertificateDer::pem_file_iter(path).map_err(unread)?;
            Some(
                found
                    .collect::<std::result::Result<Vec<_>, _>>()
                    .map_err(unread)?,
            )
        }
        None => None,
    };
    Ok(Some(RelayAccess { url, token, roots }))
}

fn wrong(why: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, why)
}
