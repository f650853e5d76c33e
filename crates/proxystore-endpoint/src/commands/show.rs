//! Tables for people.

use super::{Done, say};
use crate::client::{CONFIG_FILE, Client, Running, home_dir};
use crate::config::Config;
use crate::daemon;
use crate::identity::SecretKey;
use crate::log::timestamp;
use crate::wire::{Record, Request};
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::UdpSocket;
use std::time::{Duration, UNIX_EPOCH};

pub(super) fn list() -> Done {
    let home = home_dir();
    let mut rows = vec![
        ["NAME", "STATUS", "UUID", "PUBLIC KEY"]
            .map(String::from)
            .to_vec(),
    ];
    let mut dirs: Vec<_> = fs::read_dir(&home)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|dir| dir.join(CONFIG_FILE).exists())
        .collect();
    dirs.sort();
    for dir in dirs {
        let name = dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let running = Running::read(&dir);
        let status = match &running {
            Some(running) if !running.is_here() => format!("RUNNING on {}", running.host),
            Some(_) if daemon::is_held(&dir) => "RUNNING".to_owned(),
            _ => "STOPPED".to_owned(),
        };
        match Config::read(&dir) {
            Ok(config) => {
                let key = SecretKey::load(&dir.join(daemon::KEY_FILE))
                    .map_or_else(|_| String::new(), |key| key.public().to_string());
                rows.push(vec![name, status, config.uuid, key]);
            }
            Err(error) => rows.push(vec![name, error.to_string()]),
        }
    }
    if rows.len() == 1 {
        return say(&format!(
            "there is no endpoint in {}: `proxystore-endpoint configure NAME` makes one",
            home.display()
        ));
    }
    say(&table(&rows).join("\n"))
}

pub(super) fn status(client: &Client) -> Done {
    let records = client.records(&Request::Status)?;
    let Some(record) = records.first() else {
        return Err("the endpoint said nothing".into());
    };
    let width = record.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in record {
        let value = match (name.as_str(), value.parse::<u64>()) {
            ("started", Ok(seconds)) => timestamp(UNIX_EPOCH + Duration::from_secs(seconds)),
            (name, Ok(bytes)) if name.starts_with("bytes") => human(bytes as f64),
            _ => value.clone(),
        };
        say(format!("{:width$}  {value}", name.replace('_', " ")).trim_end())?;
    }
    Ok(())
}

pub(super) fn peers(client: &Client) -> Done {
    let records = client.records(&Request::Peers)?;
    if records.is_empty() {
        return say("there are no peers: `proxystore-endpoint peer add NAME KEY` lets one in");
    }
    say(&table(&peer_rows(&records)).join("\n"))
}

fn peer_rows(records: &[Record]) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["PEER", "KEY", "PATH", "RTT", "SPEED", "LAST ERROR"]
            .map(String::from)
            .to_vec(),
    ];
    for record in records {
        let path = value(record, "path");
        let rate: f64 = value(record, "rate").parse().unwrap_or(0.0);
        let round_trip = value(record, "round_trip_ms");
        rows.push(vec![
            value(record, "name").to_owned(),
            value(record, "key").chars().take(10).collect(),
            if path.is_empty() {
                "not connected"
            } else {
                path
            }
            .to_owned(),
            if round_trip.is_empty() {
                "-".to_owned()
            } else {
                format!("{round_trip} ms")
            },
            format!("{}/s", human(rate)),
            value(record, "last_error").to_owned(),
        ]);
    }
    rows
}

pub(super) fn allowed(client: &Client) -> Done {
    let records = client.records(&Request::PeerList)?;
    if records.is_empty() {
        return say("nobody may come in: `proxystore-endpoint peer add NAME KEY` lets a peer in");
    }
    let names = ["key", "uuid", "label", "addresses"];
    let mut rows = vec![names.map(str::to_uppercase).to_vec()];
    rows.extend(records.iter().map(|record| {
        names
            .iter()
            .map(|name| value(record, name).to_owned())
            .collect()
    }));
    say(&table(&rows).join("\n"))
}

pub(super) fn top(client: &Client, interval: f64, count: u64) -> Done {
    let interval = Duration::try_from_secs_f64(interval)
        .ok()
        .filter(|time| *time >= Duration::from_millis(50))
        .ok_or("--interval is a number of seconds from 0.05 on")?;
    let is_terminal = io::stdout().is_terminal();
    let mut last: Option<(f64, f64)> = None;
    let mut round = 0;
    loop {
        let records = client.records(&Request::Status)?;
        let peers = client.records(&Request::Peers)?;
        let Some(status) = records.first() else {
            return Err("the endpoint said nothing".into());
        };
        let number = |name: &str| value(status, name).parse::<f64>().unwrap_or(0.0);
        let now = (number("bytes_in"), number("bytes_out"));
        let seconds = interval.as_secs_f64();
        let (rate_in, rate_out) = last.map_or((0.0, 0.0), |before| {
            ((now.0 - before.0) / seconds, (now.1 - before.1) / seconds)
        });
        last = Some(now);
        let mut lines = vec![
            format!(
                "{}  {}  on {}  process {}",
                value(status, "name"),
                value(status, "uuid"),
                value(status, "host"),
                value(status, "pid")
            ),
            format!(
                "objects {}  bytes {}  in memory {}  clients {}  in {}/s  out {}/s",
                value(status, "objects"),
                human(number("bytes")),
                human(number("bytes_in_memory")),
                value(status, "connections"),
                human(rate_in),
                human(rate_out)
            ),
        ];
        if !peers.is_empty() {
            lines.push(String::new());
            lines.extend(table(&peer_rows(&peers)));
        }
        let clear = if is_terminal { "\x1b[H\x1b[J" } else { "" };
        writeln!(io::stdout(), "{clear}{}", lines.join("\n"))?;
        round += 1;
        if round == count {
            return Ok(());
        }
        std::thread::sleep(interval);
    }
}

pub(super) fn network(host: &str, port: u16) -> Done {
    let socket = UdpSocket::bind((host, port))
        .map_err(|error| format!("UDP port {port} of {host} cannot be used: {error}"))?;
    let own = daemon::own_address();
    let kind = match own {
        Some(std::net::IpAddr::V4(ip)) if ip.is_loopback() => "this host alone",
        Some(std::net::IpAddr::V4(ip)) if ip.is_private() => {
            "a private network: others come in by holes that are punched, or by a relay"
        }
        Some(_) => "an address that others may reach, unless a firewall is in between",
        None => "no network",
    };
    say(&format!(
        "host       {}\naddress    {}\nwhich is   {kind}\nUDP        {} can be used",
        daemon::hostname(),
        own.map_or_else(|| "none".to_owned(), |ip| ip.to_string()),
        socket.local_addr()?
    ))?;
    say("Which way two endpoints take is shown by: proxystore-endpoint peers NAME")
}

fn value<'a>(record: &'a Record, wanted: &str) -> &'a str {
    let found = record.iter().find(|(name, _)| name == wanted);
    found.map_or("", |(_, value)| value)
}

fn human(bytes: f64) -> String {
    let mut rest = bytes;
    for unit in ["B", "kB", "MB", "GB"] {
        if rest < 999.95 {
            let digits = usize::from(unit != "B");
            return format!("{rest:.digits$} {unit}");
        }
        rest /= 1000.0;
    }
    format!("{rest:.1} TB")
}

fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| row.len() == columns);
        cells
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
