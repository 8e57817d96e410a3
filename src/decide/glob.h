// SPDX-License-Identifier: Apache-2.0
// Glob: a pattern for names and routes. `*` stands for any text without a slash, `**` for any text.
#pragma once

#include <re2/re2.h>

#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"

namespace tailgate {

// Without a star it costs no automaton. Threads: any.
class Glob {
 public:
  explicit Glob(std::string pattern) : pattern_(std::move(pattern)) {
    if (pattern_.find('*') == std::string::npos) return;
    std::string expression;
    for (std::size_t i = 0; i < pattern_.size(); ++i) {
      if (pattern_[i] != '*') {
        expression += RE2::QuoteMeta(pattern_.substr(i, 1));
      } else if (pattern_.substr(i, 2) == "**") {
        expression += ".*";
        ++i;
      } else {
        expression += "[^/]*";
      }
    }
    RE2::Options options(RE2::Latin1);  // bytes: what comes need not be UTF-8
    options.set_dot_nl(true);
    options.set_log_errors(false);
    compiled_ = std::make_unique<RE2>(expression, options);
  }
  bool matches(ByteView text) const {
    if (compiled_ == nullptr) return text == pattern_;
    return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *compiled_);
  }
  bool good() const { return compiled_ == nullptr || compiled_->ok(); }

 private:
  std::string pattern_;
  std::unique_ptr<RE2> compiled_;
};

}  // namespace tailgate
