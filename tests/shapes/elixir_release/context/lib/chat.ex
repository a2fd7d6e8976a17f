defmodule Chat do
  IO.puts "people talk"
end
