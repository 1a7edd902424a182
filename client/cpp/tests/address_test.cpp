#include <gtest/gtest.h>
#include <shipmate/client.h>

using shipmate::Address;
using shipmate::AddressError;

TEST(Address, IsReadAndWritten) {
  for (auto text :
       {"tcp:127.0.0.1:7700", "tcp:[::1]:0", "tcp:[fe80::1%eth0]:65535", "tcp:ship:1", "unix:/tmp/s",
        "unix:relative", "unix:@ship", "pipe:/tmp/p", "shm:/tmp/s", "auto:/tmp/s"}) {
    EXPECT_EQ(Address::parse(text).str(), text);
  }
  auto address = Address::parse("tcp:[::1]:7700");
  EXPECT_EQ(address.transport, "tcp");
  EXPECT_EQ(address.place, "::1");
  EXPECT_EQ(address.port, 7700);
  EXPECT_EQ(Address::parse("unix:" + std::string(107, 'x')).place.size(), 107u);
  EXPECT_EQ(Address::parse("unix:@" + std::string(107, 'x')).place.size(), 108u);
}

TEST(Address, AWrongOneShowsTheRightForm) {
  for (auto& text : {std::string(),
                     std::string("/tmp/s"),
                     std::string("http://ship"),
                     std::string("tcp:"),
                     std::string("tcp:ship"),
                     std::string("tcp:ship:"),
                     std::string("tcp::7700"),
                     std::string("tcp:ship:+1"),
                     std::string("tcp:ship:65536"),
                     std::string("tcp:ship:99999999999"),
                     std::string("tcp:::1:7700"),
                     std::string("tcp:[ship]:1"),
                     std::string("tcp:a b:1"),
                     std::string("tcp:a/b:1"),
                     std::string("unix:"),
                     std::string("unix:@"),
                     std::string("unix:a\0b", 8),
                     "unix:" + std::string(108, 'x'),
                     "unix:@" + std::string(108, 'x'),
                     std::string("pipe:"),
                     std::string("shm:"),
                     std::string("auto:"),
                     std::string("auto:@ship"),
                     std::string("TCP:ship:1")}) {
    try {
      Address::parse(text);
      ADD_FAILURE() << text << " was taken";
    } catch (const AddressError& error) {
      EXPECT_NE(std::string(error.what()).find("is not an address: write "), std::string::npos)
          << error.what();
    }
  }
}
