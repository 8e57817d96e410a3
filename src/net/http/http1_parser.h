// SPDX-License-Identifier: Apache-2.0
// RequestParser: Beast's parser of HTTP/1.1 requests with our limits. Belongs to the session's I/O thread.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/byte_budget.h"
#include "net/http/incoming_request.h"
#include "net/http/session.h"

namespace tailgate {

// A Beast body that goes into the request.
struct RequestBody {
  struct value_type {
    IncomingRequest* request = nullptr;
    std::optional<RefuseWhy> error;  // set: the request did not take it
  };
  class reader {
   public:
    template <bool isRequest, class Fields>
    reader(boost::beast::http::header<isRequest, Fields>&, value_type& value) : value_(value) {}
    void init(const boost::optional<std::uint64_t>&, boost::beast::error_code& ec) { ec = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::beast::error_code& ec) {
      std::size_t taken = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers); it != boost::asio::buffer_sequence_end(buffers);
           ++it) {
        const boost::asio::const_buffer part = *it;
        value_.error = value_.request->take({static_cast<const char*>(part.data()), part.size()});
        if (value_.error) {
          ec = boost::beast::http::error::body_limit;
          return taken;
        }
        taken += part.size();
      }
      ec = {};
      return taken;
    }
    void finish(boost::beast::error_code& ec) { ec = {}; }

   private:
    value_type& value_;
  };
};

// Counts header fields as HTTP/2 does, with 32 more bytes for each (RFC 9113 section 6.5.2), and charges their memory.
// The number of fields is limited too, because a field of 4 bytes takes a node of 80. Trailers are counted and dropped.
class RequestParser : public boost::beast::http::request_parser<RequestBody> {
 public:
  RequestParser(const SessionContext& context, std::size_t fields_max)
      : charge_(context.budget != nullptr ? Charge(*context.budget, Holder::kRequests) : Charge()), max_(fields_max) {}
  bool out_of_memory() const { return out_of_memory_; }

  // So many bytes of a chunked body were not content. Returns false when the heads of its chunks, of which each may
  // have kChunkHeadFree bytes more, and its trailers are larger in all than the headers of a request may be.
  bool count_framing(std::size_t bytes) {
    framing_ += bytes;
    return framing_ <= max_ + chunks_ * kChunkHeadFree;
  }
  // Of the chunks whose heads have come.
  std::uint64_t chunk_bytes() const { return chunk_bytes_; }

 private:
  static constexpr std::size_t kChunkHeadFree = 20;  // two line ends and 16 digits
  static constexpr std::size_t kFree = 1 << 10, kStep = 4 << 10;
  static constexpr std::size_t kFieldsMax = 128;

  void on_field_impl(boost::beast::http::field name, boost::beast::string_view name_text,
                     boost::beast::string_view value, boost::beast::error_code& ec) override {
    counted_ += name_text.size() + value.size() + 32;
    ec = {};
    if (counted_ > max_ || (!is_header_done() && ++fields_ > kFieldsMax)) {
      ec = boost::beast::http::error::header_limit;
    } else if (2 * counted_ > kFree + charge_.bytes() && !charge_.try_grow(kStep, kReserveParts)) {
      out_of_memory_ = true;
      ec = boost::beast::http::error::header_limit;
    } else if (!is_header_done()) {
      get().insert(name, name_text, value);
    }
  }

  void on_chunk_header_impl(std::uint64_t size, boost::beast::string_view, boost::beast::error_code& ec) override {
    ++chunks_;
    chunk_bytes_ += size;
    ec = {};
  }

  Charge charge_;
  const std::size_t max_;
  std::size_t counted_ = 0, fields_ = 0;
  std::size_t framing_ = 0, chunks_ = 0;
  std::uint64_t chunk_bytes_ = 0;
  bool out_of_memory_ = false;
};

}  // namespace tailgate
