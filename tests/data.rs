//! Tables of numbers as the examples read them: errors name the line.

#[path = "../examples/common/table.rs"]
mod table;

use std::path::Path;
use table::Table;

fn parse(text: &str, columns: usize, header: bool) -> Result<Table, String> {
    Table::parse("t.csv".to_owned(), text.as_bytes(), columns, header).map_err(|error| error.to_string())
}

#[test]
fn the_shipped_tables_are_whole() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let digits = Table::read(&data.join("digits.csv.gz"), 65, false).unwrap();
    let (pixels, labels) = digits.split_last();
    assert_eq!(digits.labels(&labels, 10).unwrap().len(), 1797);
    assert!(pixels.iter().all(|&pixel| (0.0..=16.0).contains(&pixel)));
    let wines = Table::read(&data.join("winequality-red.csv.gz"), 12, true).unwrap();
    assert_eq!((wines.lines.len(), wines.lines[0], wines.values[11]), (1599, 2, 5.0));
}

#[test]
fn errors_name_the_line() {
    let error = |text, header| parse(text, 3, header).unwrap_err();
    assert_eq!(error("1,2,3\n4,5\n", false), "line 2 of `t.csv`: 2 fields, expected 3");
    assert_eq!(error("a,b,c\n1,2,3\n4,,6\n", true), "line 3 of `t.csv`: field 2 is \"\", expected a finite number");
    assert_eq!(error("1,2,x\n", false), "line 1 of `t.csv`: field 3 is \"x\", expected a finite number");
    assert_eq!(error("1,nan,3\n", false), "line 1 of `t.csv`: field 2 is \"nan\", expected a finite number");
    assert_eq!(error("1,1e99,3\n", false), "line 1 of `t.csv`: field 2 is \"1e99\", expected a finite number");
    assert_eq!(error("a,b,c\n", true), "`t.csv` has no rows");
    assert_eq!(error("", false), "`t.csv` has no rows");

    let table = parse("0,0,9\n0,0,10\n", 3, false).unwrap();
    let labels = |last: &[f32]| table.labels(last, 10).map_err(|error| error.to_string());
    let expected = "expected a whole number from 0 to 9";
    assert_eq!(labels(&[9.0, 10.0]), Err(format!("line 2 of `t.csv`: the label is 10, {expected}")));
    assert_eq!(labels(&[-1.0, 0.0]), Err(format!("line 1 of `t.csv`: the label is -1, {expected}")));
    assert_eq!(labels(&[0.5, 0.0]), Err(format!("line 1 of `t.csv`: the label is 0.5, {expected}")));
    assert_eq!(labels(&[0.0, 9.0]), Ok(vec![0, 9]));
}

#[test]
fn files_that_are_missing_or_damaged_are_errors() {
    let missing = Table::read(Path::new("no/such/file.csv"), 3, false).unwrap_err().to_string();
    assert!(missing.starts_with("could not read `no/such/file.csv`"), "{missing}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cut.csv.gz");
    let whole = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/digits.csv.gz")).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let cut = Table::read(&path, 65, false).unwrap_err().to_string();
    assert!(cut.starts_with("could not read"), "{cut}");
}
