// Streams (`-> stream`), whose sender is held back by what the receiver has handled.
#include <kj/vector.h>

#include "check.h"

namespace conformance {
namespace {

constexpr uint32_t CHUNKS = 200;
constexpr uint32_t CHUNK_BYTES = 10'000;
constexpr uint64_t PEAK_BYTES_MAX = 1 << 20;

void fill(kj::ArrayPtr<kj::byte> chunk, uint32_t number) {
  for (size_t index = 0; index < chunk.size(); ++index) chunk[index] = number + index;
}

// Takes its time over each chunk.
class SlowSink final : public Sink::Server {
 public:
  SlowSink(shipmate::Loop& loop, kj::Vector<kj::Array<kj::byte>>& chunks) : loop_(loop), chunks_(chunks) {}

 private:
  kj::Promise<void> write(WriteContext context) override {
    return loop_.sleep(std::chrono::milliseconds(1)).then([this, context]() mutable {
      chunks_.add(kj::heapArray(context.getParams().getChunk().asConst()));
    });
  }

  kj::Promise<void> done(DoneContext context) override {
    uint64_t bytes = 0;
    uint32_t sum = 0;
    for (auto& chunk : chunks_) {
      bytes += chunk.size();
      sum += sumOf(chunk);
    }
    auto results = context.getResults();
    results.setChunks(chunks_.size());
    results.setBytes(bytes);
    results.setSum(sum);
    return kj::READY_NOW;
  }

  shipmate::Loop& loop_;
  kj::Vector<kj::Array<kj::byte>>& chunks_;
};

}  // namespace

void streamUp(Test& test) {
  auto sink = test.wait(test.server.openSinkRequest().send()).getSink();
  uint32_t sum = 0;
  for (uint32_t number = 0; number < CHUNKS; ++number) {
    auto request = sink.writeRequest();
    auto chunk = request.initChunk(CHUNK_BYTES);
    fill(chunk, number);
    sum += sumOf(chunk);
    // Kept when the stream's window has room for more.
    test.wait(request.send());
  }
  auto done = test.wait(sink.doneRequest().send());
  equal("the chunks", done.getChunks(), CHUNKS);
  equal("the bytes", done.getBytes(), CHUNKS * CHUNK_BYTES);
  equal("their sum", done.getSum(), sum);
}

void streamDown(Test& test) {
  kj::Vector<kj::Array<kj::byte>> chunks;
  auto request = test.server.pourRequest();
  request.setSink(kj::heap<SlowSink>(test.loop, chunks));
  request.setChunks(CHUNKS);
  request.setBytes(CHUNK_BYTES);
  auto peak = test.wait(request.send()).getPeak();
  equal("the number of chunks", chunks.size(), CHUNKS);
  auto expected = kj::heapArray<kj::byte>(CHUNK_BYTES);
  for (uint32_t number = 0; number < CHUNKS; ++number) {
    fill(expected, number);
    same("a chunk", chunks[number], expected);
  }
  equal(kj::str("a peak of ", peak, " bytes is within the limit").cStr(), 1 <= peak && peak <= PEAK_BYTES_MAX,
        true);
}

}  // namespace conformance
