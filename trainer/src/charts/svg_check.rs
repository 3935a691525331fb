//! What must hold for every chart.

/// Every tag that opens closes, in order.
#[track_caller]
pub(crate) fn assert_balanced(markup: &str) {
    let mut open = Vec::new();
    for tag in markup.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "open quote: <{tag}>");
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "closed by </{name}>"),
            None if tag.ends_with('/') || tag.starts_with('!') => {}
            None if ["meta", "link", "br"].contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

/// Every coordinate is within the view box.
#[track_caller]
pub(crate) fn assert_inside(svg: &str) {
    let view = attribute(svg, "viewBox").expect("a view box");
    let numbers: Vec<f64> = view.split(' ').map(|n| n.parse().unwrap()).collect();
    let (width, height) = (numbers[2], numbers[3]);
    let inside = |value: f64, most: f64| assert!((-0.01..=most + 0.01).contains(&value), "{svg}");
    for tag in svg.split('<').skip(2) {
        let number = |name| attribute(tag, name).map_or(0.0, |n| n.parse::<f64>().unwrap());
        for name in ["x1", "x2", "cx"] {
            inside(number(name), width);
        }
        for name in ["y1", "y2", "cy"] {
            inside(number(name), height);
        }
        inside(number("x"), width);
        inside(number("y"), height);
        assert!(number("width") >= 0.0 && number("height") >= 0.0, "{tag}");
        inside(number("x") + number("width"), width);
        inside(number("y") + number("height"), height);
        for pair in attribute(tag, "points")
            .unwrap_or_default()
            .split_whitespace()
        {
            let (x, y) = pair.split_once(',').unwrap();
            inside(x.parse().unwrap(), width);
            inside(y.parse().unwrap(), height);
        }
    }
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}
