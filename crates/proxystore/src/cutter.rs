//! A payload in parts, for backends that take no object whole.

use crate::Payload;

/// Cuts a payload into parts, one after the other and without copying.
#[derive(Debug)]
pub(crate) struct Cutter<'p, 'a> {
    pieces: &'p [&'a [u8]],
    /// Bytes of the first piece that are gone already.
    offset: usize,
}

impl<'p, 'a> Cutter<'p, 'a> {
    pub(crate) fn new(payload: &'p Payload<'a>) -> Self {
        Self {
            pieces: payload.pieces(),
            offset: 0,
        }
    }

    /// The pieces of the next part, and the bytes in them: `len`, or what is left.
    pub(crate) fn next_part(&mut self, len: usize) -> (Vec<&'a [u8]>, usize) {
        let (mut part, mut taken) = (Vec::new(), 0);
        while taken < len
            && let Some(piece) = self.pieces.first()
        {
            let rest = &piece[self.offset..];
            let now = &rest[..rest.len().min(len - taken)];
            taken += now.len();
            part.push(now);
            if now.len() == rest.len() {
                self.pieces = &self.pieces[1..];
                self.offset = 0;
            } else {
                self.offset += now.len();
            }
        }
        (part, taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_join_to_the_whole() {
        let bytes: Vec<u8> = (0..100).collect();
        let payload = Payload::new(&[&bytes[..7], &bytes[7..8], &bytes[8..60], &bytes[60..]]);
        for part_len in 1..101 {
            let mut cutter = Cutter::new(&payload);
            let mut joined = Vec::new();
            for index in 0..100_usize.div_ceil(part_len) {
                let (part, len) = cutter.next_part(part_len);
                assert_eq!(len, part_len.min(100 - index * part_len));
                assert_eq!(len, part.iter().map(|piece| piece.len()).sum::<usize>());
                joined.extend(part.concat());
            }
            assert_eq!(joined, bytes);
            assert_eq!(cutter.next_part(part_len), (Vec::new(), 0));
        }
    }
}
