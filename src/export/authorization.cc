// SPDX-License-Identifier: Apache-2.0
#include "export/authorization.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "net/client/client_config.h"

namespace tailgate {

Authorization::Authorization(const std::string& secret, std::string file, Write write)
    : value_(write(secret)),
      file_(std::move(file)),
      write_(std::move(write)),
      log_(std::make_shared<LogLimiter>(std::chrono::seconds(10))) {}

bool Authorization::refused(TimePoint now) {
  if (file_.empty()) return false;
  std::ifstream in(file_, std::ios::binary);
  const std::string secret = without_blanks({std::istreambuf_iterator<char>(in), {}});
  std::string value = secret.empty() ? "" : write_(secret);
  if (value.empty()) {
    if (const auto held = log_->pass(now))
      log_warn("expected credentials in a file, the ones read before stay", {{"path", file_}, {"held_back", *held}});
  } else if (value != value_) {
    log_info("credentials read again", {{"path", file_}});
    value_ = std::move(value);
  }
  return true;
}

}  // namespace tailgate
