// Shipmate for C++: typed calls and messages between processes, over TCP, Unix sockets, named pipes and
// shared memory, with Cap'n Proto's own library.
//
//   shipmate::Loop loop;
//   auto connection = loop.wait(shipmate::connect(loop, "unix:/tmp/ship.sock"));
//   auto request = connection.bootstrap<arith::Arith>().multiplyRequest();
//   request.setA(6);
//   request.setB(7);
//   auto response = loop.wait(request.send());
#pragma once

#include <shipmate/address.h>
#include <shipmate/blocking.h>
#include <shipmate/connection.h>
#include <shipmate/errors.h>
#include <shipmate/loop.h>
#include <shipmate/messages.h>
#include <shipmate/server.h>
