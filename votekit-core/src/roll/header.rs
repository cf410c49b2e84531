//! Finding the columns.

use super::fault::{Field, RollError};
use super::row::Rows;

/// Where `nas`, `code` and `law_id` stand among the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollHeader {
    /// Places from 0, in the order of [`Field::REQUIRED`].
    places: [usize; 3],
    columns: usize,
}

impl RollHeader {
    /// Before the header has been read.
    pub(super) const PLACEHOLDER: Self = Self { places: [0, 1, 2], columns: 3 };

    /// Takes the header from the first record; `None` when there is no record.
    ///
    /// # Errors
    /// When a column is missing or named twice, or the text is not UTF-8. No value is repeated: a
    /// file without a header has an elector there.
    pub(super) fn read(rows: &mut Rows<'_>) -> Result<Option<Self>, RollError> {
        let mut found: [Option<usize>; 3] = [None; 3];
        let mut twice = None;
        let mut columns = 0;
        let record = rows.next_record(|place, field| {
            columns = place + 1;
            let index = Field::REQUIRED.iter().position(|required| names(*required, field.bytes));
            twice = twice.or(index.filter(|index| found[*index].replace(place).is_some()));
        });
        let Some(record) = record else { return Ok(None) };
        let line = record.line;
        if std::str::from_utf8(record.bytes).is_err() {
            return Err(RollError::HeaderText { line });
        }
        if let Some(index) = twice {
            return Err(RollError::HeaderTwice { line, field: Field::REQUIRED[index] });
        }
        let mut places = [0; 3];
        for (index, field) in Field::REQUIRED.into_iter().enumerate() {
            let separator = other_separator(record.bytes);
            places[index] =
                found[index].ok_or(RollError::HeaderMissing { line, field, separator })?;
        }
        Ok(Some(Self { places, columns }))
    }

    /// The required field that stands in a column, counted from 0.
    #[must_use]
    pub fn field_at(&self, place: usize) -> Field {
        match self.places.iter().position(|known| *known == place) {
            Some(index) => Field::REQUIRED[index],
            None => Field::Column(u32::try_from(place + 1).unwrap_or(u32::MAX)),
        }
    }

    /// The index in [`Field::REQUIRED`] of the field in a column, counted from 0.
    pub(super) fn index_at(&self, place: usize) -> Option<usize> {
        self.places.iter().position(|known| *known == place)
    }

    /// Whether the columns are the required ones alone, in their order.
    pub(super) fn is_plain(&self) -> bool {
        self.places == [0, 1, 2] && self.columns == 3
    }

    /// The number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }
}

fn names(field: Field, text: &[u8]) -> bool {
    let name: &[u8] = match field {
        Field::Nas => b"nas",
        Field::Code => b"code",
        Field::LawId => b"law_id",
        Field::Column(_) => return false,
    };
    text.trim_ascii().eq_ignore_ascii_case(name)
}

/// The separator that was used instead of commas, going by the header.
fn other_separator(header: &[u8]) -> Option<char> {
    [';', '\t', '|']
        .into_iter()
        .find(|separator| header.contains(&(*separator as u8)) && !header.contains(&b','))
}
