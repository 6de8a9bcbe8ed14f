//! The texts of a table's column, also where they lie inside structs, lists and maps, and their way
//! back into a column of the same type.
//!
//! In:  columns of Arrow arrays; a [`TextColumn`] says where its texts lie.
//! Out: the cells of each row in order; a copy of the column with other texts in it.
//! Holds: a copy keeps type, length, nulls and list lengths, and holds no text that no row shows:
//!        what lies behind a null, outside of every list or unused in a dictionary is not copied.
//! Does not know: files, policies.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, LargeListArray, LargeStringArray, ListArray, MapArray,
    RecordBatch, StringArray, StructArray, cast::AsArray,
};
use arrow_cast::cast;
use arrow_schema::{DataType, Schema};

/// A column, or a part of each of its values, that holds text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextColumn {
    /// Index of the column in the schema.
    pub column: usize,
    /// From the column to its texts.
    pub steps: Vec<Step>,
    /// Its name between the lists on the way: `items[].note` is `items` and `.note`.
    pub name: Vec<String>,
}

/// One step into a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The field of a struct, by its index. Of a map's entry 0 is the key and 1 the value.
    Field(usize),
    /// Each item of a list, or each entry of a map.
    Items,
}

/// Why a column's texts cannot be reached. No part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A dictionary, a run or a list cannot be unpacked.
    #[error("can't unpack a text column")]
    Unpack,
    /// What became of the texts does not fit the column's type.
    #[error("can't convert a text column back to its type")]
    Type,
    /// The column is not of the type that its schema says.
    #[error("the type of a text column differs from the schema")]
    Shape,
}

/// The cells of one column in a batch.
#[derive(Debug)]
pub struct Cells {
    leaf: ArrayRef,
    /// Those of row `r` are `places[rows[r]..rows[r + 1]]`.
    rows: Vec<usize>,
    places: Vec<Place>,
    name: Vec<String>,
    plain_name: Option<Arc<str>>,
}

/// A place that a row shows.
#[derive(Debug, Clone)]
struct Place {
    row: usize,
    index: usize,
    /// Number of the item in each list on the way.
    items: Vec<usize>,
}

impl TextColumn {
    /// A column that holds text itself.
    pub fn plain(column: usize, name: &str) -> Self {
        Self {
            column,
            steps: Vec::new(),
            name: vec![name.to_owned()],
        }
    }

    /// Whether both lead to the same texts.
    pub fn is_at(&self, other: &Self) -> bool {
        (self.column, &self.steps) == (other.column, &other.steps)
    }

    /// Type of what the steps lead to.
    pub fn data_type<'s>(&self, schema: &'s Schema) -> Option<&'s DataType> {
        let mut kind = schema.fields().get(self.column)?.data_type();
        for step in &self.steps {
            kind = match (step, kind) {
                (Step::Field(index), DataType::Struct(fields)) => fields.get(*index)?.data_type(),
                (
                    Step::Items,
                    DataType::List(items)
                    | DataType::LargeList(items)
                    | DataType::ListView(items)
                    | DataType::LargeListView(items)
                    | DataType::FixedSizeList(items, _)
                    | DataType::Map(items, _),
                ) => items.data_type(),
                _ => return None,
            };
        }
        Some(kind)
    }

    /// Its name, with `[]` for the lists on the way.
    pub fn name(&self) -> String {
        self.name.join("[]")
    }

    /// The cells of a batch.
    pub fn cells(&self, batch: &RecordBatch) -> Result<Cells, Error> {
        let mut array = batch.column(self.column).clone();
        let mut places = all(&array);
        for step in &self.steps {
            (array, places) = below(&array, *step, places)?;
        }
        let mut rows = vec![0; batch.num_rows() + 1];
        for place in &places {
            rows[place.row + 1] += 1;
        }
        for row in 0..batch.num_rows() {
            rows[row + 1] += rows[row];
        }
        let plain_name = (self.name.len() == 1).then(|| Arc::from(self.name[0].as_str()));
        Ok(Cells {
            leaf: unpacked(&array)?,
            rows,
            places,
            name: self.name.clone(),
            plain_name,
        })
    }

    /// How many cells each row of a batch has.
    pub fn counts(&self, batch: &RecordBatch) -> Result<Vec<usize>, Error> {
        let mut array = batch.column(self.column).clone();
        let mut places = all(&array);
        for step in &self.steps {
            (array, places) = below(&array, *step, places)?;
        }
        let mut counts = vec![0; batch.num_rows()];
        for place in places {
            counts[place.row] += 1;
        }
        Ok(counts)
    }

    /// The one array that the steps lead to, and each row's place in it, if the row shows one there. A
    /// way through lists has none.
    pub fn single(&self, batch: &RecordBatch) -> Result<(ArrayRef, Vec<Option<usize>>), Error> {
        let mut array = batch.column(self.column).clone();
        let mut places = all(&array);
        for step in &self.steps {
            let Step::Field(_) = step else {
                return Err(Error::Shape);
            };
            (array, places) = below(&array, *step, places)?;
        }
        let mut rows = vec![None; batch.num_rows()];
        for place in places {
            rows[place.row] = Some(place.index);
        }
        Ok((array, rows))
    }

    /// The column with other texts in the places that [`Self::cells`] gives, in the same order.
    pub fn replaced(
        &self,
        column: &ArrayRef,
        texts: &mut dyn Iterator<Item = Option<String>>,
    ) -> Result<ArrayRef, Error> {
        rebuilt(column, &self.steps, all(column), texts)
    }
}

impl Cells {
    /// Cells of a row, with the name of each. Bytes are not yet checked for UTF-8.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (Arc<str>, Option<&[u8]>)> {
        let places = &self.places[self.rows[row]..self.rows[row + 1]];
        places
            .iter()
            .map(|place| (self.name_of(place), bytes(&self.leaf, place.index)))
    }

    fn name_of(&self, place: &Place) -> Arc<str> {
        if let Some(name) = &self.plain_name {
            return name.clone();
        }
        let mut name = self.name[0].clone();
        for (item, rest) in place.items.iter().zip(&self.name[1..]) {
            name.push_str(&format!("[{item}]{rest}"));
        }
        name.into()
    }
}

/// Whether arrays of this type are cells of text.
pub fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        // Hive and Impala write strings as bytes without a logical type; pandas writes a column in
        // which nothing is set as one of nulls.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null => true,
        DataType::Dictionary(_, values) => is_text(values) && **values != DataType::Null,
        DataType::RunEndEncoded(_, values) => is_text(values.data_type()),
        _ => false,
    }
}

fn all(array: &ArrayRef) -> Vec<Place> {
    let place = |row| Place {
        row,
        index: row,
        items: Vec::new(),
    };
    (0..array.len()).map(place).collect()
}

/// One step into an array: the child array, and the places in it that some row shows, in order.
fn below(
    array: &ArrayRef,
    step: Step,
    places: Vec<Place>,
) -> Result<(ArrayRef, Vec<Place>), Error> {
    let shown = places
        .into_iter()
        .filter(|place| array.is_valid(place.index));
    match step {
        Step::Field(field) => {
            let parent = array.as_struct_opt().ok_or(Error::Shape)?;
            if field >= parent.num_columns() {
                return Err(Error::Shape);
            }
            Ok((parent.column(field).clone(), shown.collect()))
        }
        Step::Items => {
            let list = as_list(array)?;
            let mut items = Vec::new();
            for place in shown {
                for (number, index) in list.range(place.index).enumerate() {
                    let mut numbers = place.items.clone();
                    numbers.push(number);
                    items.push(Place {
                        row: place.row,
                        index,
                        items: numbers,
                    });
                }
            }
            Ok((list.items(), items))
        }
    }
}

/// A list in one of its forms; views are made plain first.
enum List {
    Small(ListArray),
    Large(LargeListArray),
    Fixed(FixedSizeListArray),
    Map(MapArray),
}

fn as_list(array: &ArrayRef) -> Result<List, Error> {
    Ok(match array.data_type() {
        DataType::List(_) => List::Small(array.as_list::<i32>().clone()),
        DataType::LargeList(_) => List::Large(array.as_list::<i64>().clone()),
        DataType::FixedSizeList(..) => List::Fixed(array.as_fixed_size_list().clone()),
        DataType::Map(..) => List::Map(array.as_map().clone()),
        DataType::ListView(field) => {
            let plain = cast(array, &DataType::List(field.clone())).map_err(|_| Error::Unpack)?;
            List::Small(plain.as_list::<i32>().clone())
        }
        DataType::LargeListView(field) => {
            let plain =
                cast(array, &DataType::LargeList(field.clone())).map_err(|_| Error::Unpack)?;
            List::Large(plain.as_list::<i64>().clone())
        }
        _ => return Err(Error::Shape),
    })
}

impl List {
    fn range(&self, index: usize) -> std::ops::Range<usize> {
        match self {
            Self::Small(list) => {
                let offsets = list.value_offsets();
                offsets[index] as usize..offsets[index + 1] as usize
            }
            Self::Large(list) => {
                let offsets = list.value_offsets();
                offsets[index] as usize..offsets[index + 1] as usize
            }
            Self::Fixed(list) => {
                let start = list.value_offset_at(index);
                start..start + list.value_length() as usize
            }
            Self::Map(map) => {
                let offsets = map.value_offsets();
                offsets[index] as usize..offsets[index + 1] as usize
            }
        }
    }

    fn items(&self) -> ArrayRef {
        match self {
            Self::Small(list) => list.values().clone(),
            Self::Large(list) => list.values().clone(),
            Self::Fixed(list) => list.values().clone(),
            Self::Map(map) => Arc::new(map.entries().clone()),
        }
    }

    fn with_items(&self, items: ArrayRef) -> Result<ArrayRef, Error> {
        let made: Result<ArrayRef, _> = match self {
            Self::Small(list) => {
                let DataType::List(field) = list.data_type() else {
                    return Err(Error::Shape);
                };
                let nulls = list.nulls().cloned();
                ListArray::try_new(field.clone(), list.offsets().clone(), items, nulls)
                    .map(|list| Arc::new(list) as ArrayRef)
            }
            Self::Large(list) => {
                let DataType::LargeList(field) = list.data_type() else {
                    return Err(Error::Shape);
                };
                let nulls = list.nulls().cloned();
                LargeListArray::try_new(field.clone(), list.offsets().clone(), items, nulls)
                    .map(|list| Arc::new(list) as ArrayRef)
            }
            Self::Fixed(list) => {
                let DataType::FixedSizeList(field, size) = list.data_type() else {
                    return Err(Error::Shape);
                };
                let nulls = list.nulls().cloned();
                FixedSizeListArray::try_new_with_length(
                    field.clone(),
                    *size,
                    items,
                    nulls,
                    list.len(),
                )
                .map(|list| Arc::new(list) as ArrayRef)
            }
            Self::Map(map) => {
                let DataType::Map(field, ordered) = map.data_type() else {
                    return Err(Error::Shape);
                };
                let entries = items.as_struct_opt().ok_or(Error::Shape)?.clone();
                let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
                MapArray::try_new(field.clone(), offsets, entries, nulls, *ordered)
                    .map(|map| Arc::new(map) as ArrayRef)
            }
        };
        made.map_err(|_| Error::Type)
    }
}

fn rebuilt(
    array: &ArrayRef,
    steps: &[Step],
    places: Vec<Place>,
    texts: &mut dyn Iterator<Item = Option<String>>,
) -> Result<ArrayRef, Error> {
    let Some((step, rest)) = steps.split_first() else {
        return leaf(array, &places, texts);
    };
    let (child, places) = below(array, *step, places)?;
    let child = rebuilt(&child, rest, places, texts)?;
    match step {
        Step::Field(field) => {
            let parent = array.as_struct_opt().ok_or(Error::Shape)?;
            let mut columns = parent.columns().to_vec();
            columns[*field] = child;
            let nulls = parent.nulls().cloned();
            let made = StructArray::try_new_with_length(
                parent.fields().clone(),
                columns,
                nulls,
                parent.len(),
            );
            made.map(|made| Arc::new(made) as ArrayRef)
                .map_err(|_| Error::Type)
        }
        Step::Items => {
            let made = as_list(array)?.with_items(child)?;
            match made.data_type() == array.data_type() {
                true => Ok(made),
                false => cast(&made, array.data_type()).map_err(|_| Error::Type),
            }
        }
    }
}

fn leaf(
    array: &ArrayRef,
    places: &[Place],
    texts: &mut dyn Iterator<Item = Option<String>>,
) -> Result<ArrayRef, Error> {
    // What no row shows: nothing, or an empty text where the schema forbids a null.
    let nulls = array.logical_nulls();
    let is_null = |index| nulls.as_ref().is_some_and(|nulls| nulls.is_null(index));
    let mut cells: Vec<Option<String>> = (0..array.len())
        .map(|index| (!is_null(index)).then(String::new))
        .collect();
    for place in places {
        cells[place.index] = texts.next().ok_or(Error::Shape)?;
    }
    let wanted = array.data_type();
    if *wanted == DataType::Null {
        return Ok(array.clone());
    }
    let bytes: usize = cells.iter().flatten().map(String::len).sum();
    let made: ArrayRef = match bytes > i32::MAX as usize {
        true => Arc::new(LargeStringArray::from_iter(cells)),
        false => Arc::new(StringArray::from_iter(cells)),
    };
    if made.data_type() == wanted {
        return Ok(made);
    }
    cast(&made, wanted).map_err(|_| Error::Type)
}

/// Dictionaries and runs as plain arrays.
fn unpacked(array: &ArrayRef) -> Result<ArrayRef, Error> {
    let values = match array.data_type() {
        DataType::Dictionary(_, values) => &**values,
        DataType::RunEndEncoded(_, values) => values.data_type(),
        _ => return Ok(array.clone()),
    };
    let plain = match values {
        // 64-bit offsets: a dictionary of long values can be larger unpacked than 2 GiB.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::LargeBinary,
        _ => DataType::LargeUtf8,
    };
    let plain = cast(array, &plain).map_err(|_| Error::Unpack)?;
    Ok(plain)
}

fn bytes(array: &ArrayRef, index: usize) -> Option<&[u8]> {
    if array.is_null(index) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(index).as_bytes()),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(index).as_bytes()),
        DataType::Utf8View => Some(array.as_string_view().value(index).as_bytes()),
        DataType::Binary => Some(array.as_binary::<i32>().value(index)),
        DataType::LargeBinary => Some(array.as_binary::<i64>().value(index)),
        DataType::BinaryView => Some(array.as_binary_view().value(index)),
        // Arrays of nulls.
        _ => None,
    }
}
