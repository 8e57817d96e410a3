// SPDX-License-Identifier: Apache-2.0
// Authorization: the value of that header. One whose secret is in a file is read again when the backend refuses it,
// because tokens rotate: a file changes before or after the backend does.
//
// Threads: one at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "telemetry/log.h"

namespace tailgate {

class Authorization {
 public:
  // Makes the header's value of the secret; "" when a header cannot have it.
  using Write = std::function<std::string(const std::string& secret)>;

  Authorization() = default;  // none
  // `file`: where `secret` was read from; "": it stays as it is.
  Authorization(const std::string& secret, std::string file, Write write);

  const std::string& value() const { return value_; }  // "" when there is none
  bool empty() const { return value_.empty(); }

  // The backend would not have it: reads the file again. False when there is no file, so that the same request would be
  // refused again. A file that cannot be used leaves the value as it is, with a warning each ten seconds at most.
  bool refused(TimePoint now);

 private:
  std::string value_, file_;
  Write write_;
  std::shared_ptr<LogLimiter> log_;
};

}  // namespace tailgate
