use std::fmt;

/// A table for the eye: every column is as wide as its longest cell.
pub(crate) struct Columns<const N: usize>(Vec<[String; N]>);

impl<const N: usize> Columns<N> {
    pub(crate) fn under(headings: [&str; N]) -> Self {
        Self(vec![headings.map(str::to_owned)])
    }

    pub(crate) fn push(&mut self, row: [String; N]) {
        self.0.push(row);
    }
}

impl<const N: usize> fmt::Display for Columns<N> {
    /// Headings that nothing stands under are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return Ok(());
        }
        let width = |column: usize| self.0.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
        for row in &self.0 {
            let line = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "{}", line.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_stands_under_its_heading_and_no_line_ends_in_blanks() {
        let mut columns = Columns::under(["SERVICE", "STATUS", "CHECKS"]);
        columns.push(["api-gateway", "ok", "dätabase ok"].map(str::to_owned));
        columns.push(["täglich", "degraded", ""].map(str::to_owned));
        let text = "\
SERVICE      STATUS    CHECKS
api-gateway  ok        dätabase ok
täglich      degraded
";
        assert_eq!(columns.to_string(), text);
    }
}
