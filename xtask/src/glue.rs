//! Takes out of wasm-bindgen's glue what numbers don't need. Each import is a function of its own there, which makes each
//! number unsigned and each truth a boolean; the page's script takes them as they come.

/// What is called: the object that `wasm-peer/src/host.rs` names.
const HOST: &str = "host";
const FUNCTION: &str = ": function(";
const END: &str = "\n        },";

/// The glue with one function for all imports that only call the host with their arguments, in their order.
pub(crate) fn shorten(glue: &str) -> String {
    let mut out = String::with_capacity(glue.len());
    let mut rest = glue;
    let mut found = false;
    while let Some(at) = rest.find(FUNCTION) {
        let (before, function) = rest.split_at(at);
        out.push_str(before);
        let end = function.find(END).unwrap_or(function.len());
        if let Some(name) = called(&function[FUNCTION.len()..end]) {
            found = true;
            out.push_str(&format!(": call(\"{name}\"),"));
            rest = &function[end + END.len()..];
        } else {
            out.push_str(FUNCTION);
            rest = &function[FUNCTION.len()..];
        }
    }
    out.push_str(rest);
    if found {
        out.push_str(&format!("\nconst call = (name) => (...numbers) => {HOST}[name](...numbers);\n"));
    }
    out
}

/// Of a function's arguments and body: what of the host's it calls, if it does nothing else.
fn called(function: &str) -> Option<&str> {
    let (arguments, body) = function.split_once(") {")?;
    let body = body.trim();
    let body = match body.strip_prefix("const ret = ") {
        Some(body) => body.strip_suffix("return ret;")?.trim_end(),
        None => body,
    };
    let call = body.strip_prefix(HOST)?.strip_prefix('.')?.strip_suffix(");")?;
    let (name, given) = call.split_once('(')?;
    let bare = |given: &str| given.trim_end_matches(" >>> 0").trim_end_matches(" !== 0").to_owned();
    let given: Vec<_> = given.split(", ").map(bare).collect();
    (given.join(", ") == arguments && name.chars().all(char::is_alphanumeric)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(function: &str) -> String {
        format!("const imports = {{\n        A: function{function},\n        B: 1,\n}};")
    }

    #[test]
    fn calls_with_all_arguments_in_their_order_become_one_function() {
        for function in [
            "(arg0) {\n            host.stop(arg0 >>> 0);\n        }",
            "(arg0) {\n            const ret = host.stop(arg0 >>> 0);\n            return ret;\n        }",
            "(arg0, arg1, arg2) {\n            host.stop(arg0 >>> 0, arg1, arg2 !== 0);\n        }",
        ] {
            let short = shorten(&import(function));
            assert!(short.contains("        A: call(\"stop\"),\n        B: 1,"), "{short}");
            assert!(short.ends_with("host[name](...numbers);\n"), "{short}");
        }
    }

    #[test]
    fn whatever_does_more_stays() {
        for function in [
            "(arg0, arg1) {\n            host.stop(arg1 >>> 0, arg0 >>> 0);\n        }",
            "(arg0) {\n            host.stop(arg0 >>> 0);\n            host.stop(arg0);\n        }",
            "(arg0) {\n            const ret = Math.random();\n            return ret;\n        }",
            "(arg0) {\n            host.stop(other(arg0));\n        }",
            "() {\n            throw new Error();",
        ] {
            let glue = import(function);
            assert_eq!(shorten(&glue), glue);
        }
    }
}
