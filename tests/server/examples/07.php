<?php
$url = 'https://audiotag.info/api';

$apikey = 'a45d46d912acf22f095ddf0a94df21e5'; # generate and place here your unique API access key, the key must be 'active'
$action = 'get_result';
$token = '5a3cd8d32a8a616e5cd28703012ed1de'; # query token received in reponse to the action:identify request

$ch = curl_init();

$args=[];
$args['apikey'] = $apikey;
$args['action'] = $action;
$args['token'] = $token;


$n=1;
while($n < 100){ # query the server periodically, not more than 100 times
    $n++;
    usleep(500000); # delay 0.5sec between calls (not required but recognition takes some time to the server
    curl_setopt($ch, CURLOPT_POST, 1);
    curl_setopt($ch, CURLOPT_URL,$url);
    curl_setopt($ch, CURLOPT_RETURNTRANSFER,true);
    curl_setopt($ch, CURLOPT_SSL_VERIFYHOST, 0);
    curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, 0);
    curl_setopt($ch, CURLOPT_POSTFIELDS, $args);
    $Result=curl_exec ($ch);
    if(!$Result){
        echo "error accessing the server\n";
        exit();
    }
    $Result = json_decode($Result,true);
    if(!empty($Result['success']) && $Result['result']!='wait'){
        break;
        # the server has returned result $Result['data'] - see description of the "data" object
    }
    if(empty($Result['success'])){
        break;
        # error ocured
    }
    # otherwise -- query the server again
    # example of server response in case the recognition result is not yet ready and still awaits processing in the server's queque
    # {
    #   "success":true,
    #   "error":null,
    #   "result": "wait",
    # }
}
curl_close ($ch);

if(empty($Result['success']) || empty($Result['data'])){
    echo "Server could not recognize the file\n";
    echo "Error: ".$Result['error']."\n";
}
var_export($Result);

?>
