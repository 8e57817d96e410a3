// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648): one writer, and one reader whose rules each caller chooses by name. docs/design/0015-codec.md says
// who needs which rules and why. Pure functions.
#pragma once

#include <string>

#include "base/bytes.h"

namespace tailgate {

enum class Base64Padding { kWith, kWithout };

void append_base64(std::string& out, ByteView bytes, Base64Padding padding = Base64Padding::kWith);

// What a reader allows beyond the canonical form, in which every sequence of bytes has exactly one text.
struct Base64Rules {
  bool url_alphabet = false;   // '-' and '_' besides '+' and '/'
  bool any_padding = false;    // any number of '=' at the end; otherwise as many as complete the last group of four
  bool line_breaks = false;    // '\r' and '\n' anywhere
  bool nonzero_spare = false;  // the last digit may have bits that belong to no byte
};

// Canonical: for credentials, so that one password is not accepted in several spellings.
inline constexpr Base64Rules kBase64Strict{};
// What protobuf's JSON mapping asks of readers.
inline constexpr Base64Rules kBase64Protobuf{.url_alphabet = true, .any_padding = true, .nonzero_spare = true};
// What Go's base64.StdEncoding reads: the condition language follows the Collector.
inline constexpr Base64Rules kBase64Go{.line_breaks = true, .nonzero_spare = true};

// Appends the bytes that `text` stands for. False when it breaks the rules; what was appended is then unspecified.
bool read_base64(ByteView text, const Base64Rules& rules, std::string& out);

}  // namespace tailgate
