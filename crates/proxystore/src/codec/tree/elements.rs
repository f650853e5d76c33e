//! An array within a tree, read as nested sequences of numbers.

use super::deserialize::Failure;
use crate::codec::message_pack::malformed;
use crate::codec::ndarray::{Description, Kind};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use smallvec::SmallVec;

/// Rows that an array without elements may have here.
const MOST_EMPTY_ROWS: usize = 1 << 20;

/// An array, or the part of it behind its first indices.
#[derive(Clone)]
pub(super) struct Elements<'de> {
    kind: Kind,
    big_endian: bool,
    size: usize,
    /// Length and distance in bytes, of each axis.
    axes: SmallVec<[(usize, usize); 4]>,
    bytes: &'de [u8],
}

impl<'de> Elements<'de> {
    pub(super) fn new(description: &Description, bytes: &'de [u8]) -> Result<Self, Failure> {
        if description.byte_len() != Some(bytes.len()) {
            return Err(malformed().into());
        }
        // Empty rows cost no byte of the frame, but each becomes a value.
        let rows = |len: &u64| usize::try_from(*len).unwrap_or(usize::MAX).max(1);
        let rows = description
            .shape
            .iter()
            .map(rows)
            .fold(1, usize::saturating_mul);
        if bytes.is_empty() && rows > MOST_EMPTY_ROWS {
            return Err(Failure::Type(format!("an empty array of {rows} rows")));
        }
        let size = description.item_size as usize;
        let mut axes: SmallVec<[(usize, usize); 4]> = description
            .shape
            .iter()
            .map(|len| (*len as usize, 0))
            .collect();
        let mut step = size;
        let mut set = |axis: &mut (usize, usize)| {
            axis.1 = step;
            step = step.saturating_mul(axis.0);
        };
        if description.fortran_order {
            axes.iter_mut().for_each(&mut set);
        } else {
            axes.iter_mut().rev().for_each(&mut set);
        }
        Ok(Self {
            kind: description.kind,
            big_endian: description.big_endian,
            size,
            axes,
            bytes,
        })
    }

    /// The element itself, when no axis is left.
    fn scalar<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Failure> {
        let raw = self.bytes.get(..self.size).ok_or_else(malformed)?;
        match self.kind {
            Kind::Bool => visitor.visit_bool(raw[0] != 0),
            Kind::Int | Kind::Datetime | Kind::Timedelta => {
                let unused = 64 - 8 * self.size as u32;
                visitor.visit_i64((self.word(raw) << unused) as i64 >> unused)
            }
            Kind::Uint => visitor.visit_u64(self.word(raw)),
            Kind::Float => visitor.visit_f64(self.float(raw)),
            Kind::Complex => {
                let (real, imaginary) = raw.split_at(self.size / 2);
                let parts = [self.float(real), self.float(imaginary)];
                visitor.visit_seq(serde::de::value::SeqDeserializer::new(parts.into_iter()))
            }
            Kind::Bytes => {
                let len = raw
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |at| at + 1);
                visitor.visit_borrowed_bytes(&raw[..len])
            }
            Kind::Text => {
                let text: Option<String> = raw
                    .chunks_exact(4)
                    .map(|unit| char::from_u32(self.word(unit) as u32))
                    .collect();
                let text = text.ok_or_else(malformed)?;
                visitor.visit_str(text.trim_end_matches('\0'))
            }
        }
    }

    /// Up to 8 bytes as one number.
    fn word(&self, raw: &[u8]) -> u64 {
        let shift = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
        if self.big_endian {
            raw.iter().fold(0, shift)
        } else {
            raw.iter().rev().fold(0, shift)
        }
    }

    fn float(&self, raw: &[u8]) -> f64 {
        let word = self.word(raw);
        match raw.len() {
            2 => half(word as u16),
            4 => f64::from(f32::from_bits(word as u32)),
            _ => f64::from_bits(word),
        }
    }
}

/// A float of 2 bytes: 1 bit of sign, 5 of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 31);
    let fraction = f64::from(bits & 1023) / 1024.0;
    sign * match exponent {
        0 => fraction * 2_f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2_f64.powi(exponent - 15),
    }
}

impl<'de> Deserializer<'de> for Elements<'de> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.axes.first() {
            None => self.scalar(visitor),
            Some(&(len, step)) => visitor.visit_seq(Row {
                array: self,
                next: 0,
                len,
                step,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The parts along the first axis.
struct Row<'de> {
    array: Elements<'de>,
    next: usize,
    len: usize,
    step: usize,
}

impl<'de> SeqAccess<'de> for Row<'de> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        if self.next == self.len {
            return Ok(None);
        }
        let mut part = self.array.clone();
        part.axes.remove(0);
        part.bytes = part.bytes.get(self.next * self.step..).unwrap_or_default();
        self.next += 1;
        seed.deserialize(part).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.next)
    }
}
