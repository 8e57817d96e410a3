// SPDX-License-Identifier: Apache-2.0
#include "net/http/detect_session.h"

#include <algorithm>
#include <utility>

#include "base/kept_memory.h"

namespace tailgate {
namespace {

constexpr ByteView kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class DetectingSession final : public Session {
 public:
  DetectingSession(const SessionContext& context, std::string remote, TimePoint now)
      : context_(context), remote_(std::move(remote)), since_(now) {}

  void feed(ByteView bytes, TimePoint now) override {
    if (inner_) {
      inner_->feed(bytes, now);
      return follow();
    }
    first_.append(bytes.substr(0, kPreface.size()));
    const auto rest = bytes.substr(std::min(bytes.size(), kPreface.size()));
    if (first_.size() < kPreface.size() && kPreface.starts_with(first_)) return;
    const bool http2 = ByteView(first_).starts_with(kPreface);
    inner_ = http2 ? make_http2_session(context_, std::move(remote_), now)
                   : make_http1_session(context_, std::move(remote_), now);
    inner_->set_owner(owner());
    inner_->set_certificate_name(std::move(certificate_name_));
    if (first_.size() + rest.size() == bytes.size()) {  // nothing came before this read: it is passed on whole
      inner_->feed(bytes, now);
    } else {
      inner_->feed(first_, now);
      if (!inner_->closing() && !rest.empty()) inner_->feed(rest, now);
    }
    free_memory(first_);
    follow();
  }
  void take_output(std::string& out) override {
    if (inner_) inner_->take_output(out);
    follow();
  }
  void tick(TimePoint now) override {
    if (inner_) {
      inner_->tick(now);
    } else if (now - since_ >= context_.limits.header_timeout) {
      close(CloseWhy::kHeaderTimeout);
    }
    follow();
  }
  void drain() override {
    if (inner_) {
      inner_->drain();
    } else {
      close();
    }
    follow();
  }
  void set_certificate_name(std::string name) override { certificate_name_ = std::move(name); }
  bool waiting() const override { return inner_ && inner_->waiting(); }
  bool served() const override { return inner_ && inner_->served(); }
  bool receiving_headers() const override { return inner_ && inner_->receiving_headers(); }
  bool idle() const override { return inner_ ? inner_->idle() : true; }

 private:
  // Closes when the inner session does, and for the same reason.
  void follow() {
    if (!inner_ || !inner_->closing()) return;
    if (inner_->close_why()) {
      close(*inner_->close_why());
    } else {
      close();
    }
  }

  const SessionContext& context_;
  std::string remote_;
  std::string certificate_name_;
  std::string first_;  // what came until the protocol was known
  TimePoint since_;
  std::unique_ptr<Session> inner_;  // set when the protocol is known
};

}  // namespace

std::unique_ptr<Session> make_http_session(const SessionContext& context, std::string remote, TimePoint now) {
  return std::make_unique<DetectingSession>(context, std::move(remote), now);
}

}  // namespace tailgate
