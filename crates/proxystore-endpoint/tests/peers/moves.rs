//! Objects go to peers and come back, over every way.

use super::site::{Shelf, Site, pattern};
use proxystore_endpoint::objects::Objects;
use proxystore_endpoint::peer::PeersConfig;
use proxystore_endpoint::remote::{Path, Remote};

/// Around every boundary: nothing, one message, one range, one more than a range, many.
const SIZES: [usize; 10] = [
    0,
    1,
    1000,
    65_536,
    65_537,
    1 << 20,
    (1 << 20) + 1,
    2_000_001,
    9_999_999,
    40_000_000,
];

async fn round(change: fn(&mut PeersConfig), path: Path) {
    let here = Site::with(Shelf::default(), change).await;
    let there = Site::with(Shelf::default(), change).await;
    here.befriend(&there);
    let name = there.name();
    for size in SIZES {
        let (key, object) = (format!("object-{size}"), pattern(size));
        here.peers.put(&name, &key, object.clone()).await.unwrap();
        let kept = there.shelf.get(&key).unwrap().expect("it was put");
        assert!(kept.as_slice() == object.as_slice(), "put of {size} bytes");
        assert!(here.peers.exists(&name, &key).await.unwrap());
        let got = here
            .peers
            .get(&name, &key)
            .await
            .unwrap()
            .expect("it is there");
        assert!(got.as_slice() == object.as_slice(), "get of {size} bytes");
        here.peers.evict(&name, &key).await.unwrap();
        assert!(!here.peers.exists(&name, &key).await.unwrap());
        assert!(here.peers.get(&name, &key).await.unwrap().is_none());
    }
    assert_eq!(here.path_to(&there), Some(path));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    round(|config| config.quic = false, Path::DirectTls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_quic() {
    round(|config| config.tls = false, Path::Quic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quicker_way_is_chosen() {
    let (here, there) = (Site::new().await, Site::new().await);
    here.befriend(&there);
    there.shelf.put("key", pattern(3_000_000)).unwrap();
    let alias =
        proxystore_endpoint::remote::PeerName::new(&there.peers.alias().to_string()).unwrap();
    for _ in 0..50 {
        assert_eq!(
            here.peers.get(&alias, "key").await.unwrap().unwrap().len(),
            3_000_000
        );
        if here.path_to(&there) == Some(Path::DirectTls) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it stays with {:?}", here.path_to(&there));
}
