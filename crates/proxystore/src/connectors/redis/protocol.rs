//! Redis's protocol (RESP2) without a socket: commands as pieces, the first line of replies.

use smallvec::SmallVec;
use std::io::IoSlice;

/// Values up to this are copied beside their command: fewer, longer pieces to send.
const COPIED: usize = 4096;

/// One or several commands, to be sent together. Long values are kept by reference.
#[derive(Debug, Default)]
pub(super) struct Commands<'a> {
    text: Vec<u8>,
    /// Pieces that go in where `text` has reached this length.
    pieces: SmallVec<[(usize, &'a [u8]); 8]>,
    /// Where in `text` each command begins.
    starts: SmallVec<[usize; 8]>,
}

impl<'a> Commands<'a> {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// One command whose arguments are all short.
    pub(super) fn of(arguments: &[&[u8]]) -> Self {
        let mut commands = Self::new();
        commands.push(arguments);
        commands
    }

    /// Adds a command whose arguments are all short.
    pub(super) fn push(&mut self, arguments: &[&[u8]]) {
        self.begin(arguments.len());
        for argument in arguments {
            self.argument(argument);
        }
    }

    /// Begins a command of so many arguments, its name included.
    pub(super) fn begin(&mut self, arguments: usize) {
        self.starts.push(self.text.len());
        self.number(b'*', arguments);
    }

    /// Adds an argument by copy.
    pub(super) fn argument(&mut self, bytes: &[u8]) {
        self.number(b'$', bytes.len());
        self.text.extend_from_slice(bytes);
        self.text.extend_from_slice(b"\r\n");
    }

    /// Adds an argument made of pieces, by reference unless it is short.
    pub(super) fn value(&mut self, pieces: impl Iterator<Item = &'a [u8]>, len: usize) {
        self.number(b'$', len);
        for piece in pieces {
            if len <= COPIED {
                self.text.extend_from_slice(piece);
            } else {
                self.pieces.push((self.text.len(), piece));
            }
        }
        self.text.extend_from_slice(b"\r\n");
    }

    fn number(&mut self, mark: u8, number: usize) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.text.push(mark);
        self.text.extend_from_slice(&digits[at..]);
        self.text.extend_from_slice(b"\r\n");
    }

    /// How many replies will come.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// Whether the command at this place is the one of this name, without arguments or with any.
    pub(super) fn is(&self, at: usize, name: &[u8]) -> bool {
        let rest = self.starts.get(at).map(|start| &self.text[*start..]);
        // `*1`, `$5`, the name.
        let mut lines = rest.unwrap_or_default().split(|byte| *byte == b'\n');
        lines.nth(2).and_then(|line| line.strip_suffix(b"\r")) == Some(name)
    }

    /// What to send, in order, of all commands.
    #[cfg(test)]
    fn slices(&self) -> SmallVec<[IoSlice<'_>; 16]> {
        self.part(0, self.count())
    }

    /// What to send, in order, of some of the commands.
    pub(super) fn part(&self, begin: usize, end: usize) -> SmallVec<[IoSlice<'_>; 16]> {
        let place = |command| self.starts.get(command).copied().unwrap_or(self.text.len());
        let (mut sent, end) = (place(begin), place(end));
        let mut slices = SmallVec::with_capacity(2 * self.pieces.len() + 1);
        let begin = sent;
        for &(at, piece) in self
            .pieces
            .iter()
            .filter(|(at, _)| (begin..end).contains(at))
        {
            if at > sent {
                slices.push(IoSlice::new(&self.text[sent..at]));
                sent = at;
            }
            slices.push(IoSlice::new(piece));
        }
        if sent < end {
            slices.push(IoSlice::new(&self.text[sent..end]));
        }
        slices
    }
}

/// The first line of a reply; what follows it is read by whoever wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// `+`, such as `OK`.
    Simple(String),
    /// `-`, the server's own words.
    Error(String),
    /// `:`
    Integer(i64),
    /// `$`: so many bytes and an end of line follow, or nothing is there.
    Bulk(Option<usize>),
    /// `*`: so many replies follow, or nothing is there.
    Array(Option<usize>),
}

impl Head {
    /// Reads a line without its end. `None` if it is not Redis's protocol.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let (mark, rest) = line.split_first()?;
        let text = || String::from_utf8_lossy(rest).into_owned();
        let number = || std::str::from_utf8(rest).ok()?.parse::<i64>().ok();
        let count = || match number()? {
            -1 => Some(None),
            count => Some(Some(usize::try_from(count).ok()?)),
        };
        Some(match mark {
            b'+' => Self::Simple(text()),
            b'-' => Self::Error(text()),
            b':' => Self::Integer(number()?),
            b'$' => Self::Bulk(count()?),
            b'*' => Self::Array(count()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(commands: &Commands<'_>) -> Vec<u8> {
        commands
            .slices()
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    #[test]
    fn commands_are_as_redis_wants_them() {
        let mut commands = Commands::of(&[b"SET", b"key", b""]);
        commands.push(&[b"PING"]);
        assert_eq!(
            sent(&commands),
            b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n"
        );
        assert_eq!((commands.count(), commands.slices().len()), (2, 1));
    }

    #[test]
    fn long_values_are_not_copied() {
        let long = vec![7; COPIED];
        let mut commands = Commands::new();
        commands.begin(3);
        commands.argument(b"SET");
        commands.argument(b"k");
        commands.value([&long[..], b"xy"].into_iter(), COPIED + 2);
        let slices = commands.slices();
        assert_eq!(slices.len(), 4);
        assert_eq!(slices[1].as_ptr(), long.as_ptr());
        let mut wanted = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", COPIED + 2).into_bytes();
        wanted.extend_from_slice(&long);
        wanted.extend_from_slice(b"xy\r\n");
        assert_eq!(sent(&commands), wanted);
    }

    #[test]
    fn short_values_are_copied() {
        let mut commands = Commands::new();
        commands.begin(1);
        commands.value([&b"ab"[..], b"cd"].into_iter(), 4);
        assert_eq!(commands.slices().len(), 1);
        assert_eq!(sent(&commands), b"*1\r\n$4\r\nabcd\r\n");
    }

    #[test]
    fn some_of_several_commands() {
        let long = vec![7; 2 * COPIED];
        let mut commands = Commands::of(&[b"MULTI"]);
        commands.begin(3);
        commands.argument(b"SET");
        commands.argument(b"k");
        commands.value([&long[..]].into_iter(), long.len());
        commands.push(&[b"EXEC"]);
        let parts: Vec<_> = (0..3).flat_map(|at| commands.part(at, at + 1)).collect();
        let joined: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
        assert_eq!(joined, sent(&commands));
        assert_eq!(commands.part(0, 1).len(), 1);
        assert_eq!(commands.part(1, 2).len(), 3);
        assert!(commands.is(0, b"MULTI") && commands.is(1, b"SET") && commands.is(2, b"EXEC"));
        assert!(!commands.is(1, b"SE") && !commands.is(3, b"EXEC"));
    }

    #[test]
    fn numbers_of_every_width() {
        for number in [0, 1, 9, 10, 99, 100, 1_000_000, usize::MAX] {
            let mut commands = Commands::new();
            commands.number(b'$', number);
            assert_eq!(commands.text, format!("${number}\r\n").into_bytes());
        }
    }

    #[test]
    fn heads_of_replies() {
        assert_eq!(Head::parse(b"+OK"), Some(Head::Simple("OK".into())));
        assert_eq!(Head::parse(b"-ERR no"), Some(Head::Error("ERR no".into())));
        assert_eq!(Head::parse(b":-7"), Some(Head::Integer(-7)));
        assert_eq!(Head::parse(b"$12"), Some(Head::Bulk(Some(12))));
        assert_eq!(Head::parse(b"$-1"), Some(Head::Bulk(None)));
        assert_eq!(Head::parse(b"*0"), Some(Head::Array(Some(0))));
        assert_eq!(Head::parse(b"*-1"), Some(Head::Array(None)));
    }

    #[test]
    fn what_is_not_redis_is_no_head() {
        for line in [
            "",
            "HTTP/1.1 400 Bad Request",
            "$",
            "$x",
            "$-2",
            ":",
            "*1.5",
            "$99999999999999999999",
        ] {
            assert_eq!(Head::parse(line.as_bytes()), None, "{line}");
        }
    }
}
