// SPDX-License-Identifier: Apache-2.0
// Http2Answers: the answers of one HTTP/2 session on their way to the peer.
//
// The peer's windows decide when an answer is sent, and answers are not charged to the budget. So no answer is made
// past kAnswersMax, and stuck() finds answers that make no progress. Belongs to the session's I/O thread.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <memory>
#include <unordered_map>
#include <vector>

#include "net/http/http2_stream.h"

namespace tailgate {

class Http2Answers {
 public:
  // No further answer is made while so many bytes of answers are not sent.
  static constexpr std::size_t kAnswersMax = 256 << 10;

  // `now`: the session's time, which outlives this.
  explicit Http2Answers(const TimePoint& now) : now_(now) {}

  // The stream with that number; null when there is none.
  static Stream* stream_of(nghttp2_session* session, std::int32_t id) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  bool full() const { return bytes_ >= kAnswersMax; }
  void submit(nghttp2_session* session, Stream& s, Response response);
  // From now on the answers that stay open end.
  void drain(nghttp2_session* session, const std::unordered_map<std::int32_t, std::unique_ptr<Stream>>& streams);
  // The stream has been closed.
  void forget(const Stream& s) { bytes_ -= s.response.body.size(); }

  // Says whether the peer's windows have stopped the answer of this stream, or all answers of the connection, for
  // `timeout`. Connection finds out when the socket takes nothing.
  enum class Stuck { kNothing, kStream, kConnection };
  Stuck stuck(nghttp2_session* session, const Stream& s, Duration timeout) const;

 private:
  static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t* to, std::size_t size,
                      std::uint32_t* flags, nghttp2_data_source* source, void*);

  const TimePoint& now_;
  bool draining_ = false;
  std::size_t bytes_ = 0;           // of the bodies of answers
  TimePoint progress_{};            // when the last byte of an answer was taken
  std::vector<nghttp2_nv> fields_;  // a member so that its memory is kept
};

}  // namespace tailgate
