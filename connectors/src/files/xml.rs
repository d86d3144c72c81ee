//! XML as files of tracks need it: elements that open and close, one at a time, without their prefixes, and the lines they stand in.

use super::{RowFault, TrackPoint};
use crate::protocol::{Fault, Fix};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::io::{self, BufRead, BufReader, Read};
use waystream_domain::DeviceId;

/// Longest text of an element that we look at; longer ones are cut.
const MAX_TEXT_BYTES: usize = 4096;
/// Longest text or tag at all: the parser has it in memory. A line of a map may have some hundred thousand places in one text.
const MAX_PIECE_BYTES: usize = 32 << 20;
/// Elements that lie deeper in each other are no track.
const MAX_DEPTH: usize = 256;

/// The elements of a file.
pub(super) struct Elements<R> {
    xml: Reader<CountedLines<R>>,
    buffer: Vec<u8>,
    /// Names of the open elements.
    path: Vec<String>,
    /// Since an element was opened or closed.
    text: String,
    /// The element that was opened is closed at once.
    empty: bool,
    /// Nothing can be read any more.
    ended: bool,
}

/// What a row of the file says: the line in which it begins, and its fix.
pub(super) type Row = (u64, Result<Fix, Fault>);

/// What comes next.
pub(super) enum Element {
    Open(Opened),
    Close {
        line: u64,
        name: String,
        /// What stood in it, if no other element did.
        text: String,
    },
}

/// An element that was opened.
pub(super) struct Opened {
    pub(super) line: u64,
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Opened {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl<R: Read> Elements<R> {
    pub(super) fn of(input: R) -> Self {
        let input = CountedLines { inner: BufReader::with_capacity(1 << 16, input), lines: 1, left: MAX_PIECE_BYTES };
        Self {
            xml: Reader::from_reader(input),
            buffer: Vec::new(),
            path: Vec::new(),
            text: String::new(),
            empty: false,
            ended: false,
        }
    }

    /// Lines that have been read, from 1.
    pub(super) fn line(&self) -> u64 {
        self.xml.get_ref().lines
    }

    /// Name of the innermost element that is open.
    pub(super) fn parent(&self) -> Option<&str> {
        self.path.last().map(String::as_str)
    }

    /// A row that was found, as readers of files yield it. After what can't be read there is nothing more.
    pub(super) fn row(&mut self, found: io::Result<Option<Row>>, device: &DeviceId) -> Option<Result<TrackPoint, RowFault>> {
        match found {
            Ok(None) => None,
            Ok(Some((_, Ok(fix)))) => Some(Ok(TrackPoint { device: device.clone(), fix })),
            Ok(Some((line, Err(fault)))) => Some(Err(RowFault::Row { line, fault })),
            Err(error) => {
                self.ended = true;
                Some(Err(RowFault::Unreadable { line: self.line(), error }))
            }
        }
    }

    /// `None` at the end of the file.
    ///
    /// # Errors
    /// If it is no XML, ends with elements open, or has a piece without an end.
    pub(super) fn next(&mut self) -> io::Result<Option<Element>> {
        if self.ended {
            return Ok(None);
        }
        if std::mem::take(&mut self.empty) {
            return Ok(self.close(self.line()));
        }
        loop {
            self.buffer.clear();
            let mut buffer = std::mem::take(&mut self.buffer);
            let line = self.line();
            self.xml.get_mut().left = MAX_PIECE_BYTES;
            let found = match self.xml.read_event_into(&mut buffer).map_err(unreadable)? {
                Event::Start(element) => Some(self.open(&element, line)?),
                Event::Empty(element) => {
                    self.empty = true;
                    Some(self.open(&element, line)?)
                }
                Event::End(_) => self.close(line),
                Event::Text(text) => self.say(&text.xml10_content()),
                Event::CData(text) => self.say(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(unreadable)?.map(String::from);
                    let entity = character.as_deref().or_else(|| quick_xml::escape::resolve_predefined_entity(&reference));
                    self.say(entity.unwrap_or_default())
                }
                Event::Eof if self.path.is_empty() => return Ok(None),
                Event::Eof => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is cut off")),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => None,
            };
            self.buffer = buffer;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn open(&mut self, element: &BytesStart<'_>, line: u64) -> io::Result<Element> {
        if self.path.len() == MAX_DEPTH {
            return Err(unreadable(format!("elements lie more than {MAX_DEPTH} deep in each other")));
        }
        let mut attributes = Vec::new();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(unreadable)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(unreadable)?;
            attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        let name = element.local_name().as_ref().to_owned();
        self.path.push(name.clone());
        self.text.clear();
        Ok(Element::Open(Opened { line, name, attributes }))
    }

    fn say(&mut self, text: &str) -> Option<Element> {
        let room = MAX_TEXT_BYTES.saturating_sub(self.text.len());
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
        None
    }

    fn close(&mut self, line: u64) -> Option<Element> {
        let text = std::mem::take(&mut self.text);
        self.path.pop().map(|name| Element::Close { line, name, text })
    }
}

fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Counts the lines that have been read.
struct CountedLines<R> {
    inner: BufReader<R>,
    lines: u64,
    /// Bytes that the piece at hand may still have.
    left: usize,
}

impl<R: Read> Read for CountedLines<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for CountedLines<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(unreadable(format!("a text or tag of more than {MAX_PIECE_BYTES} bytes")));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        let read = &self.inner.buffer()[..bytes];
        self.lines += read.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.left = self.left.saturating_sub(bytes);
        self.inner.consume(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why a file can't be read to its end.
    fn fault(file: impl Read) -> Option<String> {
        let mut elements = Elements::of(file);
        loop {
            match elements.next() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(error.to_string()),
            }
        }
    }

    #[test]
    fn what_has_no_end_is_not_kept_in_memory() {
        for beginning in ["<gpx>", "<gpx name='"] {
            let endless = beginning.as_bytes().chain(io::repeat(b'x')).take(1 << 27);
            let fault = fault(endless).unwrap_or_default();
            assert!(fault.contains("a text or tag of more than"), "{beginning}: {fault}");
        }
        let (deep, deeper) = (MAX_DEPTH, MAX_DEPTH + 1);
        assert_eq!(fault(["<a>".repeat(deep), "</a>".repeat(deep)].concat().as_bytes()), None);
        let fault = fault("<a>".repeat(deeper).as_bytes()).unwrap_or_default();
        assert!(fault.contains("deep in each other"), "{fault}");
    }
}
