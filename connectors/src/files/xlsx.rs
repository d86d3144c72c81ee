//! Excel workbooks (ECMA-376) of one table, of positions above all, written row by row: a header that stays in view, dates as
//! Excel's own, a further sheet whenever one is full.
//!
//! Rows go out as they come, and what names the sheets goes last: a file that is cut off has no workbook in it and opens nowhere.

use super::write::TrackWriter;
use std::fmt::Write as _;
use std::io::{self, Write};
use waystream_domain::{Position, Timestamp};
use zip::ZipWriter;
use zip::write::{SimpleFileOptions, StreamWriter};

/// Columns with their width in characters: those of the SQL table `positions`, where headers of times name their zone.
const COLUMNS: [(&str, u8); 13] = [
    ("fix_time (UTC)", 24),
    ("received_at (UTC)", 24),
    ("device", 20),
    ("fleet", 14),
    ("lat", 12),
    ("lon", 12),
    ("altitude_m", 11),
    ("speed_mps", 11),
    ("course_deg", 11),
    ("accuracy_m", 11),
    ("valid", 7),
    ("protocol", 12),
    ("attributes", 60),
];

/// Characters that a cell may have, as UTF-16 counts them.
const CELL_CHARACTERS: usize = 32_767;

/// Excel counts days from 1899-12-30 and takes 1900 for a leap year: right from 1900-03-01 on. It ends with the year 9999.
const EXCEL_MS: std::ops::Range<i64> = -2_203_891_200_000..253_402_300_800_000;
const DAY_MS: f64 = 86_400_000.0;
/// 1970-01-01 in Excel's days.
const EPOCH_DAYS: f64 = 25_569.0;

/// Formats of cells, as places in `cellXfs` of the style sheet.
const HEADER: u8 = 1;
const TIME: u8 = 2;
/// Text that looks like a formula and stays text also when somebody edits it.
const QUOTED: u8 = 3;

const STYLES: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">"#,
    r#"<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd\ hh:mm:ss.000"/></numFmts>"#,
    r#"<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>"#,
    r#"<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>"#,
    r#"<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>"#,
    r#"<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>"#,
    r#"<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>"#,
    r#"<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>"#,
    r#"<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>"#,
    r#"<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
    r#"<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1"/></cellXfs>"#,
    r#"<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"#,
);

const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const TYPES: &str = concat!(
    r#"<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>"#,
    r#"<Default Extension="xml" ContentType="application/xml"/>"#,
);
const CONTENT: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";

/// When a sheet is full.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Rows with the header: Excel has no more.
    rows: u32,
    /// Bytes before compression: programs that don't know large archives take up to 4 GiB.
    bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 1_048_576, bytes: 2 << 30 }
    }
}

/// Columns with their width in characters.
pub type Columns = &'static [(&'static str, u8)];

/// A workbook in the making.
pub struct Workbook<W: Write> {
    /// Of the first sheet.
    name: &'static str,
    columns: Columns,
    /// None: it is finished.
    archive: Option<ZipWriter<StreamWriter<W>>>,
    limits: Limits,
    sheets: u32,
    /// Rows and bytes of the sheet at hand.
    rows: u32,
    bytes: u64,
    /// The row at hand; kept for its memory.
    row: String,
}

impl<W: Write> Workbook<W> {
    /// Begins a workbook. There are at most 26 columns.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(output: W, name: &'static str, columns: Columns) -> io::Result<Self> {
        Self::with_limits(output, name, columns, Limits::default())
    }

    fn with_limits(output: W, name: &'static str, columns: Columns, limits: Limits) -> io::Result<Self> {
        let archive = Some(ZipWriter::new_stream(output));
        let mut new = Self { name, columns, archive, limits, sheets: 0, rows: 0, bytes: 0, row: String::new() };
        new.begin_sheet()?;
        Ok(new)
    }

    /// One more row.
    ///
    /// # Errors
    /// Those of the output, and that it is finished already.
    pub fn row(&mut self, fill: impl FnOnce(&mut Row<'_>)) -> io::Result<()> {
        if self.rows >= self.limits.rows || (self.rows > 1 && self.bytes >= self.limits.bytes) {
            self.end_sheet()?;
            self.begin_sheet()?;
        }
        let mut text = std::mem::take(&mut self.row);
        text.clear();
        let mut row = Row::begin(&mut text, self.rows + 1);
        fill(&mut row);
        row.end();
        self.archive()?.write_all(text.as_bytes())?;
        self.rows += 1;
        self.bytes += text.len() as u64;
        self.row = text;
        Ok(())
    }

    /// There are no more rows: writes what makes it a workbook.
    ///
    /// # Errors
    /// Those of the output, and that it is finished already.
    pub fn finish(&mut self) -> io::Result<()> {
        self.end_sheet()?;
        self.end_workbook()?;
        let archive = self.archive.take().ok_or_else(|| io::Error::other("the workbook is finished"))?;
        archive.finish()?.into_inner().flush()
    }

    fn archive(&mut self) -> io::Result<&mut ZipWriter<StreamWriter<W>>> {
        self.archive.as_mut().ok_or_else(|| io::Error::other("the workbook is finished"))
    }

    fn put(&mut self, path: &str, text: &str) -> io::Result<()> {
        let archive = self.archive()?;
        archive.start_file(path, SimpleFileOptions::default())?;
        archive.write_all(text.as_bytes())
    }

    fn begin_sheet(&mut self) -> io::Result<()> {
        self.sheets += 1;
        let mut top = format!(r#"{DECLARATION}<worksheet xmlns="{MAIN}"><sheetViews><sheetView workbookViewId="0">"#);
        top += r#"<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><cols>"#;
        for (column, (_, width)) in (1..).zip(self.columns) {
            top += &format!(r#"<col min="{column}" max="{column}" width="{width}" customWidth="1"/>"#);
        }
        top += "</cols><sheetData>";
        let mut header = Row::begin(&mut top, 1);
        for (name, _) in self.columns {
            header.text(name, HEADER);
        }
        header.end();
        self.put(&format!("xl/worksheets/sheet{}.xml", self.sheets), &top)?;
        (self.rows, self.bytes) = (1, top.len() as u64);
        Ok(())
    }

    fn end_sheet(&mut self) -> io::Result<()> {
        self.archive()?.write_all(b"</sheetData></worksheet>")
    }

    /// What makes the sheets a workbook.
    fn end_workbook(&mut self) -> io::Result<()> {
        let (mut sheets, mut relations, mut types) = (String::new(), String::new(), String::new());
        for n in 1..=self.sheets {
            let name = if n == 1 { self.name.to_owned() } else { format!("{} {n}", self.name) };
            sheets += &format!(r#"<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>"#);
            relations += &relation(n, "worksheet", &format!("worksheets/sheet{n}.xml"));
            types += &part_type(&format!("worksheets/sheet{n}.xml"), "worksheet");
        }
        relations += &relation(self.sheets + 1, "styles", "styles.xml");
        types += &part_type("styles.xml", "styles");
        types += &part_type("workbook.xml", "sheet.main");
        let workbook = format!(r#"<bookViews><workbookView/></bookViews><sheets>{sheets}</sheets>"#);
        let workbook = format!(r#"{DECLARATION}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{workbook}</workbook>"#);
        self.put("xl/styles.xml", STYLES)?;
        self.put("xl/workbook.xml", &workbook)?;
        self.put("xl/_rels/workbook.xml.rels", &relationships(&relations))?;
        self.put("_rels/.rels", &relationships(&relation(1, "officeDocument", "xl/workbook.xml")))?;
        self.put(
            "[Content_Types].xml",
            &format!(r#"{DECLARATION}<Types xmlns="{PACKAGE}/content-types">{TYPES}{types}</Types>"#),
        )
    }
}

fn relationships(all: &str) -> String {
    format!(r#"{DECLARATION}<Relationships xmlns="{PACKAGE}/relationships">{all}</Relationships>"#)
}

fn relation(id: u32, kind: &str, target: &str) -> String {
    format!(r#"<Relationship Id="rId{id}" Type="{OFFICE}/{kind}" Target="{target}"/>"#)
}

fn part_type(part: &str, kind: &str) -> String {
    format!(r#"<Override PartName="/xl/{part}" ContentType="{CONTENT}.{kind}+xml"/>"#)
}

/// Positions as a workbook.
pub(super) struct Xlsx<W: Write>(Workbook<W>);

impl<W: Write> Xlsx<W> {
    pub(super) fn new(output: W) -> io::Result<Self> {
        Ok(Self(Workbook::new(output, "positions", &COLUMNS)?))
    }
}

impl<W: Write + Send> TrackWriter for Xlsx<W> {
    fn write(&mut self, p: &Position) -> io::Result<()> {
        let attributes = serde_json::to_string(&p.attributes)?;
        self.0.row(|row| {
            row.time(p.fix_time);
            row.time(p.received_at);
            row.anything(p.device.as_str());
            row.anything(p.fleet.as_str());
            row.number(Some(p.location.lat_deg()));
            row.number(Some(p.location.lon_deg()));
            for value in [p.altitude_m, p.speed_mps, p.course_deg, p.accuracy_m] {
                row.number(value);
            }
            row.flag(p.valid);
            row.anything(&p.protocol);
            row.anything(&attributes);
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()
    }
}

/// Cells of a row, from the left.
pub struct Row<'a> {
    xml: &'a mut String,
    /// From 1.
    number: u32,
    column: u8,
}

impl<'a> Row<'a> {
    fn begin(xml: &'a mut String, number: u32) -> Self {
        add(xml, format_args!(r#"<row r="{number}">"#));
        Self { xml, number, column: 0 }
    }

    fn end(self) {
        self.xml.push_str("</row>");
    }

    fn add(&mut self, attributes: &str, content: std::fmt::Arguments<'_>) {
        // There are fewer columns than letters.
        let letter = char::from(b'A' + self.column);
        add(self.xml, format_args!(r#"<c r="{letter}{}"{attributes}>{content}</c>"#, self.number));
        self.column += 1;
    }

    fn text(&mut self, text: &str, style: u8) {
        let attributes = format!(r#" s="{style}" t="inlineStr""#);
        self.add(&attributes, format_args!(r#"<is><t xml:space="preserve">{}</t></is>"#, Escaped(text)));
    }

    /// Text from outside.
    pub fn anything(&mut self, text: &str) {
        let looks_like_a_formula = text.starts_with(['=', '+', '-', '@']);
        self.text(text, if looks_like_a_formula { QUOTED } else { 0 });
    }

    /// A number; none, or none that is finite: an empty cell.
    pub fn number<N: Into<f64> + std::fmt::Display + Copy>(&mut self, value: Option<N>) {
        match value.filter(|value| Into::<f64>::into(*value).is_finite()) {
            Some(value) => self.add("", format_args!("<v>{value}</v>")),
            None => self.column += 1,
        }
    }

    /// Yes or no.
    pub fn flag(&mut self, value: bool) {
        self.add(r#" t="b""#, format_args!("<v>{}</v>", u8::from(value)));
    }

    /// A date with its time, UTC; as text if it is none for Excel.
    pub fn time(&mut self, at: Timestamp) {
        if EXCEL_MS.contains(&at.as_millis()) {
            let days = at.as_millis() as f64 / DAY_MS + EPOCH_DAYS;
            self.add(&format!(r#" s="{TIME}""#), format_args!("<v>{days}</v>"));
        } else {
            self.text(&at.to_string(), 0);
        }
    }
}

fn add(xml: &mut String, text: std::fmt::Arguments<'_>) {
    xml.write_fmt(text).expect("a String grows as needed");
}

/// Text of a cell: no longer than Excel takes it (`…` says so), and what XML can't hold as Excel writes it, `_x0007_`.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let too_long = self.0.len() > CELL_CHARACTERS && self.0.encode_utf16().count() > CELL_CHARACTERS;
        let mut left = if too_long { CELL_CHARACTERS - 1 } else { usize::MAX };
        for (at, c) in self.0.char_indices() {
            let Some(after) = left.checked_sub(c.len_utf16()) else { break };
            left = after;
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '\t' | '\n' => f.write_char(c)?,
                '\0'..' ' | '\u{fffe}' | '\u{ffff}' => write!(f, "_x{:04X}_", u32::from(c))?,
                '_' if is_escape(&self.0[at..]) => f.write_str("_x005F_")?,
                _ => f.write_char(c)?,
            }
        }
        if too_long { f.write_char('…') } else { Ok(()) }
    }
}

/// Whether Excel would take the beginning of this text for a character written as above.
fn is_escape(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("_x") else { return false };
    rest.len() > 4 && rest.as_bytes()[4] == b'_' && rest.bytes().take(4).all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use calamine::{Data, Reader};
    use std::io::{Cursor, Read};
    use std::sync::{Arc, Mutex};
    use waystream_domain::{Attributes, LatLon};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn position(device: &str, fix_time: &str) -> Position {
        Position {
            device: device.parse().unwrap(),
            fleet: "north".parse().unwrap(),
            fix_time: Timestamp::parse(fix_time).unwrap(),
            received_at: Timestamp::parse("2024-06-10T06:15:00.000Z").unwrap(),
            location: LatLon::new(-52.123_456_7, 179.999_999_9).unwrap(),
            valid: false,
            altitude_m: Some(-12.5),
            speed_mps: Some(17.434_444),
            course_deg: None,
            accuracy_m: None,
            protocol: "teltonika".into(),
            attributes: Attributes::from_iter([("note", "<a & \"b\"> _x0041_")]),
        }
    }

    fn workbook(positions: &[Position], limits: Limits) -> Vec<u8> {
        let output = Shared::default();
        let mut writer = Xlsx(Workbook::with_limits(output.clone(), "positions", &COLUMNS, limits).unwrap());
        positions.iter().for_each(|position| writer.write(position).unwrap());
        writer.finish().unwrap();
        output.0.lock().unwrap().clone()
    }

    fn sheets(workbook: Vec<u8>) -> Vec<(String, Vec<Vec<Data>>)> {
        let mut read: calamine::Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(workbook)).unwrap();
        let sheets = read.worksheets().into_iter();
        sheets.map(|(name, range)| (name, range.rows().map(<[Data]>::to_vec).collect())).collect()
    }

    fn part(workbook: &[u8], path: &str) -> String {
        let mut archive = zip::ZipArchive::new(Cursor::new(workbook)).unwrap();
        let mut text = String::new();
        archive.by_name(path).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Milliseconds since 1970 of a date of Excel.
    fn millis(cell: &Data) -> i64 {
        let Data::DateTime(date) = cell else { panic!("{cell:?} is no date") };
        ((date.as_f64() - EPOCH_DAYS) * DAY_MS).round() as i64
    }

    #[test]
    fn another_reader_finds_every_value() {
        let position = position("356307042441013", "2024-06-10T06:13:20.123Z");
        let bytes = workbook(std::slice::from_ref(&position), Limits::default());
        let sheets = sheets(bytes.clone());
        let [(name, rows)] = sheets.as_slice() else { panic!("{sheets:?}") };
        assert_eq!(name, "positions");
        assert!(rows[0].iter().zip(COLUMNS).all(|(cell, (header, _))| *cell == header), "{:?}", rows[0]);
        let row = &rows[1];
        assert_eq!((millis(&row[0]), millis(&row[1])), (position.fix_time.as_millis(), position.received_at.as_millis()));
        // An IMEI has more digits than a number in Excel.
        assert!(row[2] == "356307042441013" && row[3] == "north", "{row:?}");
        assert!(row[4] == -52.123_456_7 && row[5] == 179.999_999_9 && row[6] == -12.5 && row[7] == 17.434_444, "{row:?}");
        assert_eq!((&row[8], &row[9], &row[10]), (&Data::Empty, &Data::Empty, &Data::Bool(false)));
        assert!(row[11] == "teltonika", "{row:?}");
        let sheet = part(&bytes, "xl/worksheets/sheet1.xml");
        assert!(sheet.contains(r#"{"note":"&lt;a &amp; \"b\"&gt; _x005F_x0041_"}"#), "{sheet}");
        assert!(sheet.contains(r#"ySplit="1""#) && sheet.contains(r#"state="frozen""#), "{sheet}");
        assert!(sheet.contains(r#"<c r="A1" s="1" t="inlineStr">"#), "{sheet}");
        assert!(part(&bytes, "xl/styles.xml").contains("<b/>"));
    }

    #[test]
    fn text_that_looks_like_a_formula_stays_text() {
        let names = ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)"];
        let positions = names.map(|name| position(name, "2024-06-10T06:13:20Z"));
        let bytes = workbook(&positions, Limits::default());
        let rows = sheets(bytes.clone()).remove(0).1;
        assert!(rows[1..].iter().zip(names).all(|(row, name)| row[2] == name), "{rows:?}");
        let sheet = part(&bytes, "xl/worksheets/sheet1.xml");
        assert!(!sheet.contains("<f"), "{sheet}");
        assert_eq!(sheet.matches(r#" s="3" t="inlineStr""#).count(), 4, "{sheet}");
    }

    #[test]
    fn a_full_sheet_is_followed_by_another() {
        let positions: Vec<_> = (0..7).map(|n| position(&format!("d{n}"), "2024-06-10T06:13:20Z")).collect();
        let by_rows = Limits { rows: 4, ..Limits::default() };
        let by_bytes = Limits { bytes: 1, ..Limits::default() };
        for (limits, count) in [(by_rows, 3), (by_bytes, 7)] {
            let sheets = sheets(workbook(&positions, limits));
            assert_eq!(sheets.len(), count, "{limits:?}");
            assert_eq!(sheets[1].0, "positions 2");
            assert!(sheets.iter().all(|(_, rows)| rows[0][2] == "device"));
            let devices = sheets.iter().flat_map(|(_, rows)| &rows[1..]).map(|row| row[2].to_string());
            assert!(devices.eq((0..7).map(|n| format!("d{n}"))), "{limits:?}");
        }
    }

    #[test]
    fn an_export_of_nothing_has_its_header() {
        let rows = sheets(workbook(&[], Limits::default())).remove(0).1;
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn times_that_excel_does_not_know_are_text() {
        let old = ["1900-02-28T23:59:59.999Z", "1900-03-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z"];
        let rows = sheets(workbook(&old.map(|time| position("a", time)), Limits::default())).remove(0).1;
        assert!(rows[1][0] == "1900-02-28T23:59:59.999Z", "{rows:?}");
        for (row, time) in rows[2..].iter().zip(&old[1..]) {
            assert_eq!(millis(&row[0]), Timestamp::parse(time).unwrap().as_millis());
        }
    }

    #[test]
    fn what_xml_or_a_cell_cannot_hold_is_written_as_excel_writes_it() {
        assert_eq!(Escaped("a\u{7}\r\t_x000D_ _x00 _x\u{ffff}").to_string(), "a_x0007__x000D_\t_x005F_x000D_ _x00 _x_xFFFF_");
        let long = "𝄞".repeat(20_000);
        let cut = Escaped(&long).to_string();
        assert!(cut.encode_utf16().count() <= CELL_CHARACTERS && cut.ends_with("𝄞…"));
        let fits = "x".repeat(CELL_CHARACTERS);
        assert_eq!(Escaped(&fits).to_string(), fits);
    }

    #[test]
    fn a_workbook_that_is_cut_off_opens_nowhere() {
        let output = Shared::default();
        let mut writer = Xlsx::new(output.clone()).unwrap();
        writer.write(&position("a", "2024-06-10T06:13:20Z")).unwrap();
        drop(writer);
        let bytes = output.0.lock().unwrap().clone();
        assert!(calamine::open_workbook_from_rs::<calamine::Xlsx<_>, _>(Cursor::new(bytes)).is_err());

        let mut writer = Xlsx::new(Shared::default()).unwrap();
        writer.finish().unwrap();
        assert!(writer.write(&position("a", "2024-06-10T06:13:20Z")).is_err() && writer.finish().is_err());
    }
}
