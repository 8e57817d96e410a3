// SPDX-License-Identifier: Apache-2.0
// Http2Answers: the answers of one HTTP/2 session on their way to the peer.
//
// The peer's windows decide when an answer is sent, and answers are not charged to the budget. So no answer is made
// past kAnswersMax, and stuck() finds answers that make no progress. Belongs to the session's I/O thread.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/http/http2_stream.h"

namespace tailgate {

// A GOAWAY for a session whose nghttp2 may not be asked any more (RFC 9113 section 6.8).
std::string goaway_frame(std::uint32_t last_id, std::uint32_t error);

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

  // Of one connection, so many answers are made by other threads at a time.
  static constexpr std::size_t kLaterMax = 16;

  bool waits() const { return !later_.empty(); }  // another thread makes one
  bool full() const { return bytes_ >= kAnswersMax || later_.size() >= kLaterMax; }
  void submit(nghttp2_session* session, Stream& s, Response response);
  // Another thread makes the answer.
  void wait_for(Stream& s, std::shared_ptr<LaterAnswer> answer, std::function<void()> waker);
  // Submits what has come of these answers since the last call.
  void go_on(nghttp2_session* session);
  // From now on the answers that stay open end.
  void drain(nghttp2_session* session, const std::unordered_map<std::int32_t, std::unique_ptr<Stream>>& streams);
  // The stream has been closed.
  void forget(const Stream& s) {
    bytes_ -= s.response.body.size();
    if (s.later) std::erase(later_, s.id);
  }

  // Says whether the peer's windows have stopped the answer of this stream, or all answers of the connection, for
  // `timeout`. Connection finds out when the socket takes nothing.
  enum class Stuck { kNothing, kStream, kConnection };
  Stuck stuck(nghttp2_session* session, const Stream& s, Duration timeout) const;

 private:
  void submit_head(nghttp2_session* session, Stream& s);
  void submit_trailers(nghttp2_session* session, const Stream& s, std::uint32_t* flags);
  static ssize_t read_later(Http2Answers& self, nghttp2_session* session, Stream& s, std::uint8_t* to, std::size_t size,
                            std::uint32_t* flags);
  static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t* to, std::size_t size,
                      std::uint32_t* flags, nghttp2_data_source* source, void*);

  const TimePoint& now_;
  bool draining_ = false;
  std::vector<std::int32_t> later_;  // streams whose answers other threads make
  std::size_t bytes_ = 0;            // of the bodies of answers
  TimePoint progress_{};             // when the last byte of an answer was taken
  std::vector<nghttp2_nv> fields_;   // a member so that its memory is kept
};

}  // namespace tailgate
