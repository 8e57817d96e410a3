// Http2Answers: the answers of one HTTP/2 session on their way to the peer.
//
// When they go is for the peer's windows to say, and they are in no account of memory: past kAnswersMax no further one
// is made, and one that does not move is found out. Belongs to the session's I/O thread.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <vector>

#include "net/http/http2_stream.h"

namespace tailgate {

class Http2Answers {
 public:
  // Bytes of answers made and not yet all sent above which no further one is made.
  static constexpr std::size_t kAnswersMax = 256 << 10;

  // `now`: the session's time, which outlives this.
  explicit Http2Answers(const TimePoint& now) : now_(now) {}

  // The stream that the session knows by its number.
  static Stream* stream_of(nghttp2_session* session, std::int32_t id) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  bool full() const { return bytes_ >= kAnswersMax; }
  void submit(nghttp2_session* session, Stream& s, Response response);
  // The stream is gone.
  void forget(const Stream& s) { bytes_ -= s.response.body.size(); }

  // What the peer's windows have held up for `timeout`: the answer of a stream, or all of the connection, and then
  // nothing moves. What the socket holds up is for the connection to judge.
  enum class Stuck { kNothing, kStream, kConnection };
  Stuck stuck(nghttp2_session* session, const Stream& s, Duration timeout) const;

 private:
  static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t* to, std::size_t size,
                      std::uint32_t* flags, nghttp2_data_source* source, void*);

  const TimePoint& now_;
  std::size_t bytes_ = 0;           // of bodies
  TimePoint moved_{};               // last byte of one that went
  std::vector<nghttp2_nv> fields_;  // at hand, so that its room is kept
};

}  // namespace tailgate
