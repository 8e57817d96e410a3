// SPDX-License-Identifier: Apache-2.0
#include "signals/names.h"

#include <re2/re2.h>

#include <algorithm>

#include "codec/utf8.h"

namespace tailgate {

std::string apply_rules(std::span<const NameRule> rules, ByteView name) {
  std::string out(name);
  for (const NameRule& rule : rules) RE2::GlobalReplace(&out, *rule.pattern, rule.replacement);
  return out;
}

bool looks_like_id(ByteView name) {
  std::size_t digits = 0, hex = 0;
  bool digit = false;  // among `hex`
  for (const char c : name) {
    const bool is_digit = c >= '0' && c <= '9';
    const bool is_hex = is_digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    digits = is_digit ? digits + 1 : 0;
    hex = is_hex ? hex + 1 : 0;
    digit = is_hex && (digit || is_digit);
    if (digits == 5 || (hex >= 8 && digit)) return true;
  }
  return false;
}

void append_labels(std::string& out, ByteView labels) {
  if (!out.empty() && !labels.empty()) out += ',';
  out += labels;
}

void append_label(std::string& out, ByteView name, ByteView value) {
  if (!out.empty()) out += ',';
  out += name;
  out += "=\"";
  value = start_of_text(value, kLabelValueMax);
  std::string repaired;
  if (!is_utf8(value)) value = repaired = to_utf8(value);
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '"') out += '\\';
      out += c == '\0' ? '?' : c;
    }
  }
  out += '"';
}

}  // namespace tailgate
