module example.com/server

go 1.24

require example.com/router v1.8.1
