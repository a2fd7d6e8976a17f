require "rails"
require "puma"
puts "rails runs"
