// SPDX-License-Identifier: Apache-2.0
// Result: what a call returns when something outside the program can make it fail. Errors are values. A file that calls
// a library that throws catches the exceptions itself. Success costs nothing beyond the value.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace tailgate {

enum class ErrorKind {
  kConfig,       // what the user wrote in YAML or on the command line
  kBadInput,     // bytes from outside that do not parse
  kRefused,      // a limit said no; the same input may pass later
  kUnavailable,  // the other side is away or busy: try again
  kPermanent,    // the other side said no for good
  kIo,           // the system could not open, bind, read or write
};

struct Error {
  ErrorKind kind;
  std::string text;  // says where, what was wanted and what came
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorKind kind, std::string text) {
  return tl::unexpected<Error>(Error{kind, std::move(text)});
}

}  // namespace tailgate
