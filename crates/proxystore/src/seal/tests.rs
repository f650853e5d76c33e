use super::head::{Entry, Head};
use super::*;
use crate::ErrorKind;

fn config(text: &str) -> SealConfig {
    SealConfig::of_url(&mut Url::parse(&format!("x://?{text}")).unwrap()).unwrap()
}

/// Keys are read from files: tests run in threads, which share one environment.
fn key_file(name: &str, keys: &[&str]) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("proxystore-seal-{name}-{}", std::process::id()));
    std::fs::write(&path, keys.join("\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn links_decide() {
    let lz4 = Measured {
        ratio: 0.6,
        compress: 7e8,
        decompress: 2e9,
    };
    let zstd = Measured {
        ratio: 0.4,
        compress: 3e8,
        decompress: 9e8,
    };
    let ways = [lz4, zstd];
    assert_eq!(choose(1e6, &ways), Some(1));
    assert_eq!(choose(5e7, &ways), Some(1));
    assert_eq!(choose(2e8, &ways), Some(0));
    assert_eq!(choose(1e9, &ways), None);
    assert_eq!(choose(1e8, &[]), None);
    // Never slower than the link, in either direction.
    for link in (5..11).map(|power| 10_f64.powi(power)) {
        for compress in [1e7, 1e8, 1e9, 1e10] {
            for decompress in [1e7, 1e8, 1e9, 1e10] {
                for ratio in [0.01, 0.5, 0.89, 0.95, 1.0] {
                    let way = Measured {
                        ratio,
                        compress,
                        decompress,
                    };
                    if choose(link, &[way]).is_some() {
                        assert!(ratio / link + 1.0 / compress < 1.0 / link);
                        assert!(ratio / link + 1.0 / decompress < 1.0 / link);
                    }
                }
            }
        }
    }
}

#[test]
fn an_estimate_follows_its_link() {
    use std::time::Duration;
    let link = Link::default();
    link.moved(10, Duration::from_secs(1));
    assert_eq!(link.speed(), None, "too short to tell");
    for _ in 0..40 {
        link.moved(1 << 20, Duration::from_millis(10));
    }
    let speed = link.speed().unwrap();
    assert!((speed / 1.048576e8 - 1.0).abs() < 1e-6, "{speed}");
    // One transfer that takes long is noticed, one that takes no time does not blind it.
    link.moved(1 << 20, Duration::from_secs(1));
    assert!(link.speed().unwrap() < 0.1 * speed);
    link.moved(1 << 20, Duration::ZERO);
    assert!(link.speed().unwrap() < 0.1 * speed);
}

/// A link of so many bytes a second.
fn link_of(speed: f64) -> Link {
    let link = Link::default();
    link.moved(
        1 << 20,
        std::time::Duration::from_secs_f64((1 << 20) as f64 / speed),
    );
    link
}

#[test]
fn auto_looks_at_the_link_first() {
    let seal = Seal::new(&config("compression=auto")).unwrap();
    let content = vec![7; 1 << 20];
    let payload = Payload::from_bytes(&content);
    let pays = |link: Option<&Link>| seal.wrap(&payload, None, link).unwrap().is_some();
    assert!(!pays(None));
    assert!(!pays(Some(&Link::default())), "nothing was measured yet");
    assert!(!pays(Some(&link_of(1e10))), "memory");
    assert!(pays(Some(&link_of(1e6))));
}

#[test]
fn auto_learns_what_compression_takes() {
    use std::time::Duration;
    let measured = Measured {
        ratio: 0.1,
        compress: 1e9,
        decompress: 2e9,
    };
    let link = link_of(1e8);
    assert_eq!(
        choose(1e8, &[link.as_it_was(Method::Lz4, measured)]),
        Some(0)
    );
    // A busy machine: a whole object takes far longer than the trial promised.
    link.compressed(Method::Lz4, 1 << 20, Duration::from_secs(1));
    assert_eq!(
        link.as_it_was(Method::Zstd, measured),
        measured,
        "each by itself"
    );
    assert_eq!(choose(1e8, &[link.as_it_was(Method::Lz4, measured)]), None);
    // It is tried again in the end.
    let tries = (0..1000).take_while(|_| {
        link.forget_a_little();
        choose(1e8, &[link.as_it_was(Method::Lz4, measured)]).is_none()
    });
    assert!((10..500).contains(&tries.count()));
    // Readers count too.
    link.decompressed(Method::Lz4, 1 << 20, Duration::from_secs(10));
    assert_eq!(choose(1e8, &[link.as_it_was(Method::Lz4, measured)]), None);
}

#[test]
fn auto_compresses_nothing_in_memory() {
    use crate::ConnectorExt;
    let place = Arc::new(crate::connectors::memory::MemoryConnector::new());
    let sealed = seal(place.clone(), &config("compression=auto")).unwrap();
    for _ in 0..3 {
        let key = sealed.put_bytes(&vec![7; 1 << 20]).unwrap();
        assert_eq!(place.get_vec(&key).unwrap().unwrap().len(), 1 << 20);
    }
}

#[test]
fn what_does_not_shrink_is_left_alone() {
    let noise: Vec<u8> = {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .take(3 << 20)
        .collect()
    };
    for compression in ["zstd", "lz4"] {
        let seal = Seal::new(&config(&format!("compression={compression}"))).unwrap();
        let payload = Payload::from_bytes(&noise);
        assert!(seal.wrap(&payload, None, None).unwrap().is_none());
        // Noise after a beginning that shrinks: its blocks are stored as they are.
        let mixed = [&vec![0; 2 << 20][..], &noise].concat();
        let payload = Payload::from_bytes(&mixed);
        let envelope = seal.wrap(&payload, None, None).unwrap().unwrap();
        let stored = envelope.payload().to_vec();
        assert!(stored.len() < noise.len() + (64 << 10));
        assert_eq!(&seal.open(stored.into(), None).unwrap()[..], &mixed[..]);
    }
}

#[test]
fn keys_are_read_with_care() {
    use std::os::unix::fs::PermissionsExt;
    let one = new_key().unwrap();
    assert_eq!(one.len(), 64);
    assert_ne!(one, new_key().unwrap());
    let path = key_file("care", &[&one]);
    let load = || Seal::new(&config(&format!("signing=file:{}", path.display())));
    let debug = format!("{:?}", load().unwrap());
    assert!(!debug.contains(&one), "{debug}");

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = load().unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for wrong in [
        "",
        "# nothing",
        "abc",
        &one[1..],
        &format!("{one}0"),
        &"z".repeat(64),
    ] {
        std::fs::write(&path, wrong).unwrap();
        let error = load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        let text = error.to_string();
        assert!(wrong.len() < 20 || !text.contains(wrong), "{text}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(load().unwrap_err().to_string().contains("key file"));
    // What is given in place of a name may be the key itself.
    let error = one.parse::<KeyReference>().unwrap_err();
    assert!(!error.to_string().contains(&one), "{error}");
    for wrong in [
        "env:",
        "env:A B",
        "file:key",
        "file:",
        "vault:x",
        "file:/a\0b",
    ] {
        assert!(wrong.parse::<KeyReference>().is_err(), "{wrong}");
    }
}

#[test]
fn both_protections_are_one_too_many() {
    let error = Seal::new(&config("signing=env:A&encryption=env:A")).unwrap_err();
    assert!(error.to_string().contains("exclude"), "{error}");
}

#[test]
fn options_and_back() {
    for text in [
        "compression=auto",
        "encryption=env:K",
        "compression=lz4&signing=file:/a%20b",
    ] {
        assert_eq!(config(text).to_options(), text);
    }
}

/// Heads that lie: each is refused before anything is allocated.
#[test]
fn heads_that_lie_are_refused() {
    let head = Head {
        method: Method::Zstd,
        protection: Protection::Checked,
        is_bound: false,
        total: 0,
        content: 0,
        block: BLOCK_LEN,
        key_id: [0; 8],
        salt: [0; 24],
    };
    let build = |content: usize, block: usize, entries: usize| {
        let mut head = Head {
            content,
            block,
            ..head.clone()
        };
        let entries = vec![
            Entry {
                stored: 1,
                tag: [0; 16]
            };
            entries
        ];
        head.total = head.data_start() + entries.len();
        let mut bytes = head.with_table(&entries);
        bytes.resize(head.data_start() + entries.len(), 0);
        bytes
    };
    let seal = Seal::new(&SealConfig::default()).unwrap();
    // A content that no machine can hold, honest otherwise: 4 MiB in each byte.
    let huge = build(1 << 44, 4 << 20, 1 << 22);
    assert_eq!(
        seal.open(huge.into(), None).unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    // One that it could hold: nothing is touched before the first block turns out wrong.
    let large = build(1 << 30, 4 << 20, 1 << 8);
    assert_eq!(
        seal.open(large.into(), None).unwrap_err().kind(),
        ErrorKind::InvalidFrame
    );
    for (content, block) in [(100, 3), (100, 1 << 10), (100, 8 << 20)] {
        let error = seal
            .open(build(content, block, 1).into(), None)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidFrame, "{error}");
    }
}
