//! The page: its parts are in `assets/`, as they are sent but for being put together.

/// What the page's style is.
pub(crate) const STYLE: &str = include_str!("../assets/style.css");
/// Where the page's head has its style and script.
const HEAD: &str = "<!-- head -->";
/// Where a page that is a file has its job.
const DATA: &str = "<!-- data -->";
const PAGE: &str = include_str!("../assets/page.html");
/// The parts of the script, each of which uses those before it.
const PARTS: [&str; 10] = [
    include_str!("../assets/text.js"),
    include_str!("../assets/model.js"),
    include_str!("../assets/heat.js"),
    include_str!("../assets/scroller.js"),
    include_str!("../assets/log.js"),
    include_str!("../assets/rank.js"),
    include_str!("../assets/search.js"),
    include_str!("../assets/failure.js"),
    include_str!("../assets/tables.js"),
    include_str!("../assets/source.js"),
];
const LAST_PART: &str = include_str!("../assets/app.js");

/// The script, as one.
pub(crate) fn script() -> String {
    let parts: String = PARTS.iter().chain([&LAST_PART]).copied().collect::<Vec<_>>().join("\n");
    format!("(() => {{\n\"use strict\";\n{parts}\n}})();\n")
}

/// The page that asks its server.
pub(crate) fn page() -> String {
    let head =
        "<link rel=\"stylesheet\" href=\"/style.css\">\n<script defer src=\"/page.js\"></script>";
    PAGE.replacen(HEAD, head, 1).replacen(DATA, "", 1)
}

/// The page as one file with a job in it, which is JSON; what may run in it is known by `nonce`.
pub(crate) fn page_with(job: &str, nonce: &str) -> String {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; \
         form-action 'none'"
    );
    let head = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <style nonce=\"{nonce}\">\n{STYLE}</style>"
    );
    let data = format!(
        "<script type=\"application/json\" id=\"embedded-job\">{}</script>\n\
         <script nonce=\"{nonce}\">\n{}</script>",
        harmless(job),
        script()
    );
    // The data comes last: what it has in it is replaced by nothing.
    PAGE.replacen(HEAD, &head, 1).replacen(DATA, &data, 1)
}

/// JSON in which nothing is markup: those characters stand in strings alone, where they may be written
/// by their numbers.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_break_out_of_its_element() {
        let said = "</script><script>alert(1)</script><!-- <img src=x> & \u{2028}";
        let json = serde_json::to_string(said).unwrap();
        let page = page_with(&json, "n");
        assert!(!page.contains("alert(1)</script>"));
        assert_eq!(page.matches("</script>").count(), 2);
        let data = page.split("id=\"embedded-job\">").nth(1).unwrap();
        let data = data.split("</script>").next().unwrap();
        assert!(!data.contains(['<', '>', '&']));
        assert_eq!(serde_json::from_str::<String>(data).unwrap(), said);
    }

    #[test]
    fn the_page_has_no_script_and_no_style_of_its_own_in_its_markup() {
        let page = page();
        for found in ["<style", " style=", " onclick", "javascript:", "http://", "https://"] {
            assert!(!page.contains(found), "{found}");
        }
        assert_eq!(page.matches("<script").count(), 1);
        let script = script();
        for found in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("] {
            assert!(!script.contains(found), "{found}");
        }
    }
}
