//! A traced program: one test, since the variable is the process's.

use proxystore::trace::VARIABLE;
use proxystore::{Result, Store};

#[test]
fn a_store_writes_down_what_it_does() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("proxystore-trace-{}", std::process::id()));
    // SAFETY: no other thread of this test reads or writes the environment.
    unsafe { std::env::set_var(VARIABLE, &directory) };
    let store = Store::in_memory("results");
    let key = store.put("hello")?;
    store.get::<String>(&key)?;
    store.get_shared::<String>(&key)?;
    store.get_shared::<String>(&key)?;
    store.set(&key, "bye")?;
    store.evict(&key)?;

    let mut files = std::fs::read_dir(&directory).expect("a directory");
    let file = files.next().expect("a file").expect("an entry").path();
    assert!(files.next().is_none());
    let text = std::fs::read_to_string(file).expect("text");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains(&format!("\"pid\":{},", std::process::id())));
    let operations = ["put", "get", "get", "get", "set", "evict"];
    assert_eq!(lines.len(), 1 + operations.len());
    for (line, operation) in lines[1..].iter().zip(operations) {
        assert!(
            line.contains(&format!("\"op\":\"store.{operation}\"")),
            "{line}"
        );
        assert!(line.contains("\"store\":\"results\""), "{line}");
    }
    assert!(lines[1].contains("\"bytes\":"));
    assert!(lines[3].contains("\"hit\":false") && lines[3].contains("\"bytes\":"));
    assert!(lines[4].contains("\"hit\":true") && !lines[4].contains("\"bytes\":"));
    std::fs::remove_dir_all(directory).expect("removed");
    Ok(())
}
