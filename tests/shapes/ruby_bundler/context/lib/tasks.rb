puts "tasks"
