use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// README.md contains the code of each recipe, in a code block after the comment `<!-- <file> -->`.
#[test]
fn the_page_shows_the_recipes_as_they_are() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page_path = package.join("README.md");
    // On Windows, Git may have converted line feeds to CRLF.
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

/// A user who copies a recipe needs each crate that it uses, in a version with which it compiles.
#[test]
fn the_page_lists_the_dependencies_of_each_recipe_in_the_versions_tested() {
    let tested = dependencies(include_str!("../../Cargo.toml"));
    let page = include_str!("../../README.md").replace("\r\n", "\n");
    let sections = page
        .split("\n## ")
        .filter(|section| section.contains("\n```rust\n"));
    let mut recipes = 0;
    for section in sections {
        let block = |language: &str| {
            let begin = format!("\n```{language}\n");
            let (_, rest) = section.split_once(&begin).unwrap_or_default();
            rest.split("\n```").next().unwrap()
        };
        let mut named = BTreeSet::new();
        for line in block("rust").lines() {
            let uses = line
                .strip_prefix("use ")
                .map(|path| path.split("::").next().unwrap());
            let paths = [
                "aws_sdk_s3::",
                "object_store::",
                "opendal::",
                "std::",
                "tokio::",
            ];
            let in_code = paths.iter().filter(|path| line.contains(*path));
            named.extend(uses);
            named.extend(in_code.map(|path| path.trim_end_matches(':')));
        }
        for own in ["aws_role_chain", "std", "tokio"] {
            named.remove(own);
        }
        let listed = dependencies(block("toml"));
        let names: BTreeSet<_> = listed.keys().map(|name| name.replace('-', "_")).collect();
        assert_eq!(
            names,
            named.into_iter().map(str::to_owned).collect(),
            "{section}"
        );
        for (name, version) in listed {
            let tested = &tested[name];
            assert!(
                *tested == version || tested.starts_with(&format!("{version}.")),
                "{name} {version}: {tested} is tested"
            );
        }
        recipes += 1;
    }
    assert_eq!(recipes, 6);
}

/// Returns the crates in a list of dependencies, with their versions.
fn dependencies(toml: &str) -> BTreeMap<&str, &str> {
    let lines = toml.lines().filter_map(|line| line.split_once(" = "));
    let versions = lines.filter_map(|(name, value)| {
        let version = match value.strip_prefix('"') {
            Some(version) => version,
            None => value.split_once("version = \"")?.1,
        };
        Some((name, version.split('"').next()?))
    });
    versions.collect()
}
