//! Tables of short texts.

use super::paint::Paint;
use super::text::clip;

/// Between two columns.
const GAP: usize = 2;

/// No column is cut shorter than this.
const LEAST: usize = 6;

/// A column's title and to which side its texts keep.
pub(crate) struct Column {
    title: &'static str,
    side: Side,
}

enum Side {
    Left,
    Right,
}

/// A column of words.
pub(crate) const fn words(title: &'static str) -> Column {
    Column { title, side: Side::Left }
}

/// A column of numbers.
pub(crate) const fn numbers(title: &'static str) -> Column {
    Column { title, side: Side::Right }
}

/// Lays rows out under their titles; where the width doesn't do, the first column is cut.
pub(crate) fn lay_out<const N: usize>(
    columns: &[Column; N],
    rows: &[[String; N]],
    width: usize,
    paint: Paint,
) -> Vec<String> {
    let titles = columns.each_ref().map(|column| column.title.to_owned());
    let mut widths = [0; N];
    for row in rows.iter().chain([&titles]) {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(cell.chars().count());
        }
    }
    let (first, others) = widths.split_first_mut().expect("a table has columns");
    let taken: usize = others.iter().map(|other| other + GAP).sum();
    *first = (*first).min(width.saturating_sub(taken).max(LEAST));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(columns).zip(widths).map(|((cell, column), width)| {
            let cell = clip(cell, width);
            match column.side {
                Side::Left => format!("{cell:<width$}"),
                Side::Right => format!("{cell:>width$}"),
            }
        });
        cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    std::iter::once(paint.faint(line(&titles))).chain(rows.iter().map(line)).collect()
}
