//! Columns of equal width, as docker's tables have them.

use unicode_width::UnicodeWidthStr;

/// Spaces between a column's widest cell and the next column.
const GAP: usize = 3;

/// The least width of a column, with its gap.
const LEAST: usize = 10;

/// Rows as lines with aligned columns. A row's last cell is not padded. White space and control characters in cells
/// become spaces, so that a cell stays a cell.
pub fn columns<R: AsRef<[C]>, C: AsRef<str>>(rows: impl IntoIterator<Item = R>) -> String {
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.as_ref().iter().map(|cell| cell.as_ref().replace(char::is_control, " ")).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    align(&text)
}

/// Lines whose cells end in tabs, with the tabs replaced by the spaces that align columns. A column is as long as
/// lines that follow each other have a cell there, so that a line without tabs begins new columns.
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    for column in 0..widths.iter().map(Vec::len).max().unwrap_or(0) {
        let mut first = 0;
        while first < lines.len() {
            let length = widths[first..].iter().take_while(|widths| widths.len() > column).count();
            let block = first..first + length;
            let widest = lines[block.clone()].iter().map(|cells| cells[column].width()).max().unwrap_or(0);
            widths[block].iter_mut().for_each(|widths| widths[column] = (widest + GAP).max(LEAST));
            first += length.max(1);
        }
    }
    let lines: Vec<String> = lines.iter().zip(&widths).map(|(cells, widths)| padded(cells, widths)).collect();
    lines.join("\n")
}

fn padded(cells: &[&str], widths: &[usize]) -> String {
    let mut line = String::new();
    for (at, cell) in cells.iter().enumerate() {
        line.push_str(cell);
        let width = widths.get(at).copied().unwrap_or(0);
        line.push_str(&" ".repeat(width.saturating_sub(cell.width())));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_at_least_ten_wide_and_three_apart() {
        let rows = [["ID", "NAME", "DRIVER"], ["1", "a-rather-long-name", "bridge"]];
        assert_eq!(columns(rows), "ID        NAME                 DRIVER\n1         a-rather-long-name   bridge\n");
    }

    #[test]
    fn wide_characters_take_two_places() {
        assert_eq!(columns([["網網網網網網", "x"], ["a", "y"]]), "網網網網網網   x\na              y\n");
    }

    #[test]
    fn a_line_without_cells_begins_new_columns() {
        assert_eq!(align("a-long-first-cell\tx\n--\nb\ty"), "a-long-first-cell   x\n--\nb         y");
    }

    #[test]
    fn empty_and_missing_cells_are_as_in_gos_tabwriter() {
        let aligned =
            "a                 b         \n                            c\nlonger-than-ten             x         y\nq\n";
        assert_eq!(align("a\tb\t\n\t\tc\nlonger-than-ten\t\tx\ty\nq\n"), aligned);
    }

    #[test]
    fn a_cell_stays_a_cell() {
        assert_eq!(columns([["a\tb\nc\u{1b}[1m", "x"]]), "a b c [1m   x\n");
    }
}
