use std::fs;
use std::path::Path;

/// The page shows each recipe as it is compiled: below `<!-- <file> -->`, in a block of code.
#[test]
fn the_page_shows_the_recipes_as_they_are() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page_path = package.join("README.md");
    // Git may have made CRLF of it.
    let read = |path: &Path| fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    let page = read(&page_path);
    let mut files = Vec::new();
    for folder in ["src", "src/bin"] {
        for entry in fs::read_dir(package.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".rs") && name != "lib.rs" {
                files.push(format!("{folder}/{name}"));
            }
        }
    }
    let mut expected = page.clone();
    for file in &files {
        let code = read(&package.join(file));
        let begin = format!("<!-- {file} -->\n```rust\n");
        let Some((before, rest)) = expected.split_once(&begin) else {
            panic!("README.md does not show {file}: it needs the lines\n{begin}```");
        };
        let (_, after) = rest.split_once("```\n").expect("the block ends");
        expected = format!("{before}{begin}{code}```\n{after}");
    }
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(&page_path, &expected).unwrap();
    } else {
        assert!(
            page == expected,
            "README.md shows another code than {files:?}: run with UPDATE_README=1"
        );
    }
}
